//! What a browser holds while its user is at another issuer, and while its user is asked whether an
//! identity is to be linked. Both are sealed under the master key; nothing is stored.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::master_key::MasterKey;
use super::sealed::{self, Header};
use super::{encode, sha256};
use crate::model::federation::pending_link::PendingLink;
use crate::model::federation::provider::ProviderId;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;

/// The longest sealed text, in bytes: it travels in a header, and all headers of an answer stay within
/// 4 KiB.
pub const LONGEST: usize = 2_304;

/// Who wants to link an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linker {
    /// The user who wants it.
    pub user: UserId,
    /// The session in which the user asked for it.
    pub session: SessionId,
}

/// Where the browser is led afterwards; each URL was checked when it was sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Urls {
    /// Where it is led when all is done.
    pub done: Option<String>,
    /// Where it is led in place of `done` if an account was made.
    pub new_user: Option<String>,
    /// Where it is led if something failed.
    pub failed: Option<String>,
}

/// A sign-in at another issuer that has begun.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamState {
    /// At which provider: the answer of another one is refused.
    pub provider: ProviderId,
    /// `state`
    pub state: String,
    /// `nonce`
    pub nonce: String,
    /// The verifier of `code_challenge` (RFC 7636).
    pub code_verifier: String,
    /// Where the browser is led afterwards.
    pub urls: Urls,
    /// Whether the client asks for an account if there is none (`requestSignUp`).
    pub request_sign_up: bool,
    /// Who wants to link the identity; `None` for a sign-in.
    pub linker: Option<Linker>,
    /// When the answer comes too late.
    pub expires_at: Timestamp,
}

/// An identity that is linked once its user agrees on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnconfirmedLink {
    /// The identity that would be linked.
    pub link: PendingLink,
    /// Who wants to link it.
    pub linker: Linker,
    /// Where the browser is led afterwards.
    pub urls: Urls,
    /// Drawn anew for each, so that it is good once.
    pub id: String,
    /// When it is too late.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for UpstreamState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest are secrets.
        f.debug_struct("UpstreamState")
            .field("provider", &self.provider)
            .field("linker", &self.linker)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

const STATE: &str = "upstream.state";
const LINK: &str = "upstream.link";

fn seal(content: &Value, master: &MasterKey) -> String {
    let plain = Zeroizing::new(content.to_string());
    sealed::seal(plain.as_bytes(), master.upstream, master.id(), None)
}

/// Opens a text that was sealed for this purpose and whose time is not over.
fn open<'k>(
    text: &str,
    purpose: &str,
    mut masters: impl Iterator<Item = &'k MasterKey>,
    now: Timestamp,
) -> Option<(Value, Timestamp)> {
    if text.len() > LONGEST {
        return None;
    }
    let header = Header::read(text).filter(|header| header.row().is_none())?;
    let master = masters.find(|master| master.id() == header.sealed_under())?;
    let plain: Zeroizing<Vec<u8>> = sealed::open(text, master.upstream)?;
    let content: Value = serde_json::from_slice(&plain).ok()?;
    let expires_at = Timestamp(content["expires"].as_i64()?);
    let is_open = content["purpose"] == purpose && now < expires_at;
    is_open.then_some((content, expires_at))
}

impl Urls {
    fn to_json(&self) -> Value {
        json!([self.done, self.new_user, self.failed])
    }

    fn of(content: &Value) -> Self {
        let url = |n: usize| content[n].as_str().map(str::to_owned);
        Self {
            done: url(0),
            new_user: url(1),
            failed: url(2),
        }
    }
}

impl Linker {
    fn to_json(self) -> Value {
        json!([self.user.to_string(), self.session.to_string()])
    }

    fn of(content: &Value) -> Option<Self> {
        Some(Self {
            user: content[0].as_str()?.parse().ok()?,
            session: content[1].as_str()?.parse().ok()?,
        })
    }
}

impl UpstreamState {
    /// Seals it under a master key; `None` if it would be longer than [`LONGEST`].
    pub fn seal(&self, master: &MasterKey) -> Option<String> {
        let content = json!({
            "purpose": STATE,
            "provider": self.provider.as_str(),
            "state": self.state,
            "nonce": self.nonce,
            "verifier": self.code_verifier,
            "urls": self.urls.to_json(),
            "sign_up": self.request_sign_up,
            "linker": self.linker.map(Linker::to_json),
            "expires": self.expires_at.0,
        });
        Some(seal(&content, master)).filter(|sealed| sealed.len() <= LONGEST)
    }

    /// Opens what [`Self::seal`] sealed; `None` if its time is over, and for any other text.
    pub fn open<'k>(
        text: &str,
        masters: impl Iterator<Item = &'k MasterKey>,
        now: Timestamp,
    ) -> Option<Self> {
        let (content, expires_at) = open(text, STATE, masters, now)?;
        let member = |name: &str| content[name].as_str().map(str::to_owned);
        let linker = &content["linker"];
        Some(Self {
            provider: content["provider"].as_str()?.parse().ok()?,
            state: member("state")?,
            nonce: member("nonce")?,
            code_verifier: member("verifier")?,
            urls: Urls::of(&content["urls"]),
            request_sign_up: content["sign_up"].as_bool()?,
            linker: if linker.is_null() {
                None
            } else {
                Some(Linker::of(linker)?)
            },
            expires_at,
        })
    }

    /// Returns the hash by which the state is used up.
    pub fn hash(&self) -> [u8; 32] {
        spent("state", &self.state)
    }

    /// Returns `code_challenge` of the method S256 (RFC 7636 section 4.2).
    pub fn code_challenge(&self) -> String {
        encode(&sha256(self.code_verifier.as_bytes()))
    }
}

impl UnconfirmedLink {
    /// Seals it under a master key; `None` if it would be longer than [`LONGEST`].
    pub fn seal(&self, master: &MasterKey) -> Option<String> {
        let content = json!({
            "purpose": LINK,
            "link": self.link.to_text(),
            "linker": self.linker.to_json(),
            "urls": self.urls.to_json(),
            "id": self.id,
            "expires": self.expires_at.0,
        });
        Some(seal(&content, master)).filter(|sealed| sealed.len() <= LONGEST)
    }

    /// Opens what [`Self::seal`] sealed; `None` if its time is over, and for any other text.
    pub fn open<'k>(
        text: &str,
        masters: impl Iterator<Item = &'k MasterKey>,
        now: Timestamp,
    ) -> Option<Self> {
        let (content, expires_at) = open(text, LINK, masters, now)?;
        Some(Self {
            link: PendingLink::parse(content["link"].as_str()?)?,
            linker: Linker::of(&content["linker"])?,
            urls: Urls::of(&content["urls"]),
            id: content["id"].as_str()?.to_owned(),
            expires_at,
        })
    }

    /// Returns the hash by which it is used up.
    pub fn hash(&self) -> [u8; 32] {
        spent("link", &self.id)
    }
}

/// Returns the hash by which an id token is used up. The signature is left out: who holds a token that is
/// signed with ECDSA can make another good signature for it.
pub fn hash_of_token(token: &str) -> [u8; 32] {
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    spent("token", signed)
}

/// Returns the hash by which the logout token of this `jti` is used up at a provider.
pub fn hash_of_logout(provider: &ProviderId, issuer: &str, jti: &str) -> [u8; 32] {
    spent(
        "logout",
        &json!([provider.as_str(), issuer, jti]).to_string(),
    )
}

/// Separates what is used up by its kind, beside the challenges of passkeys.
fn spent(kind: &str, text: &str) -> [u8; 32] {
    sha256(format!("upstream {kind} {text}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_219_200_000);

    fn linker() -> Linker {
        Linker {
            user: UserId::random([1; 16]),
            session: SessionId::at(NOW, [2; 10]),
        }
    }

    fn state() -> UpstreamState {
        UpstreamState {
            provider: "google".parse().unwrap(),
            state: "s".repeat(32),
            nonce: "n".repeat(32),
            code_verifier: "v".repeat(43),
            urls: Urls {
                done: Some("https://app.example.com/done?a=b".into()),
                new_user: None,
                failed: Some("/failed".into()),
            },
            request_sign_up: true,
            linker: Some(linker()),
            expires_at: Timestamp(NOW.0 + 1),
        }
    }

    fn link() -> UnconfirmedLink {
        UnconfirmedLink {
            link: PendingLink {
                provider: "google".parse().unwrap(),
                issuer: "https://accounts.google.com".into(),
                subject: "1".into(),
                session: None,
                email: None,
                scopes: "openid".into(),
            },
            linker: linker(),
            urls: Urls::default(),
            id: "i".repeat(22),
            expires_at: Timestamp(NOW.0 + 1),
        }
    }

    #[test]
    fn a_state_opens_in_its_time_under_its_key_unchanged() {
        let (a, b) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let open = |text: &str, keys: &[&MasterKey], now| {
            UpstreamState::open(text, keys.iter().copied(), now)
        };
        let sign_in = UpstreamState {
            linker: None,
            urls: Urls::default(),
            request_sign_up: false,
            ..state()
        };
        for one in [state(), sign_in] {
            let sealed = one.seal(&a).unwrap();
            assert_eq!(open(&sealed, &[&b, &a], NOW), Some(one.clone()));
            assert_eq!(open(&sealed, &[&b], NOW), None);
            assert_eq!(open(&sealed, &[&a], one.expires_at), None);
            for at in 0..sealed.len() {
                let mut bytes = sealed.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(bytes).unwrap();
                assert_eq!(open(&changed, &[&a], NOW), None, "byte {at}");
            }
        }
    }

    #[test]
    fn what_was_sealed_for_something_else_opens_nothing() {
        let key = MasterKey::new([1; 32]);
        let keys = || [&key].into_iter();
        let (state, link) = (state(), link());
        let (of_state, of_link) = (state.seal(&key).unwrap(), link.seal(&key).unwrap());
        assert_eq!(
            UpstreamState::open(&of_state, keys(), NOW),
            Some(state.clone())
        );
        assert_eq!(
            UnconfirmedLink::open(&of_link, keys(), NOW),
            Some(link.clone())
        );
        assert_eq!(UpstreamState::open(&of_link, keys(), NOW), None);
        assert_eq!(UnconfirmedLink::open(&of_state, keys(), NOW), None);
        assert_eq!(
            UnconfirmedLink::open(&of_link, keys(), link.expires_at),
            None
        );
        assert_ne!(state.hash(), link.hash());
        let other = sealed::seal(b"{}", key.ceremony, key.id(), None);
        assert_eq!(UpstreamState::open(&other, keys(), NOW), None);
    }

    #[test]
    fn urls_that_no_header_holds_are_not_sealed() {
        let key = MasterKey::new([1; 32]);
        let long = UpstreamState {
            urls: Urls {
                done: Some("x".repeat(2_048)),
                ..Urls::default()
            },
            ..state()
        };
        assert_eq!(long.seal(&key), None);
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let state = UpstreamState {
            code_verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(),
            ..state()
        };
        assert_eq!(
            state.code_challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
