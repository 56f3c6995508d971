//! The tokens that another issuer has given for one user, at rest: sealed under the master key, for the
//! row of one account or of one pending sign-in, and good in no other row.

use std::fmt;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::decode;
use super::master_key::MasterKey;
use super::sealed::{self, Header};
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;

/// Says what the sealed text is for, beside other texts that are sealed under the same key.
const PURPOSE: &str = "upstream.tokens";

/// The reason why sealed tokens could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Error {
    #[error(
        "the tokens of {place} were sealed under the master key {sealed_under}, which is not loaded"
    )]
    OtherMasterKey { place: Place, sealed_under: String },
    #[error("the tokens of {0} cannot be decrypted: the row was damaged or changed")]
    Damaged(Place),
}

/// The row that tokens are sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Those that are kept of a linked identity: the row of `accounts`.
    Account(EventId),
    /// Those of a sign-in that waits for another proof: the row of `login_challenges`.
    Challenge(EventId),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => write!(f, "account {id}"),
            Self::Challenge(id) => write!(f, "challenge {id}"),
        }
    }
}

/// The tokens that another issuer has given for one user.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamTokens {
    /// The access token itself.
    pub access_token: Zeroizing<String>,
    /// When the access token expires, if the issuer says it.
    pub expires_at: Option<Timestamp>,
    /// The refresh token, if the issuer gave one.
    pub refresh_token: Option<Zeroizing<String>>,
    /// When the refresh token expires, if the issuer says it.
    pub refresh_expires_at: Option<Timestamp>,
    /// The id token, which was verified when it came.
    pub id_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for UpstreamTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest are secrets.
        f.debug_struct("UpstreamTokens")
            .field("expires_at", &self.expires_at)
            .field("refresh_expires_at", &self.refresh_expires_at)
            .finish_non_exhaustive()
    }
}

impl UpstreamTokens {
    /// Seals them for one row.
    pub fn seal(&self, place: Place, master: &MasterKey) -> String {
        let text = |token: &Option<Zeroizing<String>>| token.as_ref().map(|it| it.to_string());
        let content = json!({
            "purpose": PURPOSE,
            "access": *self.access_token,
            "expires": self.expires_at.map(|at| at.0),
            "refresh": text(&self.refresh_token),
            "refresh_expires": self.refresh_expires_at.map(|at| at.0),
            "id": text(&self.id_token),
        });
        let plain = Zeroizing::new(content.to_string());
        let row = place.to_string();
        sealed::seal(plain.as_bytes(), master.upstream, master.id(), Some(&row))
    }

    /// Opens the tokens of a row under one of the loaded master keys.
    ///
    /// # Errors
    /// [`Error::OtherMasterKey`], or [`Error::Damaged`] if they are not the tokens of this row.
    pub fn open<'k>(
        jwe: &str,
        place: Place,
        mut masters: impl Iterator<Item = &'k MasterKey>,
    ) -> Result<Self, Error> {
        let damaged = || Error::Damaged(place);
        let header = Header::read(jwe).ok_or_else(damaged)?;
        if header.row() != Some(place.to_string().as_str()) {
            return Err(damaged());
        }
        let sealed_under = header.sealed_under();
        let master = masters
            .find(|master| master.id() == sealed_under)
            .ok_or_else(|| Error::OtherMasterKey {
                place,
                sealed_under: sealed_under.to_owned(),
            })?;
        let plain = sealed::open(jwe, master.upstream).ok_or_else(damaged)?;
        Self::read(&plain).ok_or_else(damaged)
    }

    fn read(plain: &[u8]) -> Option<Self> {
        let content: Value = serde_json::from_slice(plain).ok()?;
        let text = |name: &str| Some(Zeroizing::new(content[name].as_str()?.to_owned()));
        let time = |name: &str| content[name].as_i64().map(Timestamp);
        (content["purpose"] == PURPOSE).then_some(())?;
        Some(Self {
            access_token: text("access")?,
            expires_at: time("expires"),
            refresh_token: text("refresh"),
            refresh_expires_at: time("refresh_expires"),
            id_token: text("id"),
        })
    }

    /// Fills in what a newer answer of the issuer has left out: an issuer may send the refresh token
    /// once, and the id token with a sign-in alone.
    #[must_use]
    pub fn or_of_before(mut self, before: &Self) -> Self {
        if self.refresh_token.is_none() {
            self.refresh_token.clone_from(&before.refresh_token);
            self.refresh_expires_at = before.refresh_expires_at;
        }
        if self.id_token.is_none() {
            self.id_token.clone_from(&before.id_token);
        }
        self
    }

    /// Returns the same tokens without the refresh token, which the issuer takes no more.
    #[must_use]
    pub fn without_refresh(mut self) -> Self {
        (self.refresh_token, self.refresh_expires_at) = (None, None);
        self
    }
}

/// Returns the claims of an id token that was verified before; `None` for a text that is none.
pub fn claims_of_verified(id_token: &str) -> Option<serde_json::Map<String, Value>> {
    let payload = id_token.split('.').nth(1)?;
    serde_json::from_slice(&decode(payload)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::encode;

    const NOW: Timestamp = Timestamp(1_795_219_200_000);

    fn id(byte: u8) -> EventId {
        EventId::at(NOW, [byte; 10])
    }

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    fn tokens() -> UpstreamTokens {
        UpstreamTokens {
            access_token: secret("the access token"),
            expires_at: Some(NOW),
            refresh_token: Some(secret("the refresh token")),
            refresh_expires_at: Some(Timestamp(NOW.0 + 1)),
            id_token: Some(secret("the id token")),
        }
    }

    #[test]
    fn tokens_open_only_in_their_row_under_their_master_key() {
        let (a, b) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let open = |jwe: &str, place, keys: &[&MasterKey]| {
            UpstreamTokens::open(jwe, place, keys.iter().copied())
        };
        let bare = UpstreamTokens {
            expires_at: None,
            id_token: None,
            ..tokens().without_refresh()
        };
        let place = Place::Account(id(1));
        for tokens in [tokens(), bare] {
            let jwe = tokens.seal(place, &a);
            assert_eq!(open(&jwe, place, &[&b, &a]), Ok(tokens));
            for other in [
                Place::Account(id(2)),
                Place::Challenge(id(1)),
                Place::Challenge(id(2)),
            ] {
                assert_eq!(open(&jwe, other, &[&a]), Err(Error::Damaged(other)));
            }
            let other = Error::OtherMasterKey {
                place,
                sealed_under: a.id().to_owned(),
            };
            assert_eq!(open(&jwe, place, &[&b]), Err(other));
            for at in 0..jwe.len() {
                let mut bytes = jwe.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(bytes).unwrap();
                assert!(open(&changed, place, &[&a]).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn what_was_sealed_for_something_else_is_no_token() {
        let key = MasterKey::new([1; 32]);
        let place = Place::Account(id(1));
        let row = place.to_string();
        let open = |jwe: &str| UpstreamTokens::open(jwe, place, [&key].into_iter()).is_ok();
        let content = br#"{"purpose":"upstream.tokens","access":"x"}"#;
        let seal = |content: &[u8], key, row| sealed::seal(content, key, "id", row);
        let sealed = |content: &[u8], secret, row| {
            let jwe = sealed::seal(content, secret, key.id(), row);
            open(&jwe)
        };
        assert!(sealed(content, key.upstream, Some(row.as_str())));
        assert!(!sealed(content, key.upstream, None));
        assert!(!sealed(content, key.totp, Some(row.as_str())));
        assert!(!sealed(
            br#"{"purpose":"upstream.state","access":"x"}"#,
            key.upstream,
            Some(row.as_str())
        ));
        assert!(!sealed(
            br#"{"purpose":"upstream.tokens"}"#,
            key.upstream,
            Some(row.as_str())
        ));
        assert!(!open(&seal(content, key.upstream, Some(row.as_str()))));
    }

    #[test]
    fn nothing_of_a_token_is_printed() {
        let text = format!("{:?}", tokens());
        assert!(!text.contains("the "), "{text}");
    }

    #[test]
    fn what_an_answer_leaves_out_stays_as_it_was() {
        let bare = UpstreamTokens {
            access_token: secret("newer"),
            expires_at: None,
            refresh_token: None,
            refresh_expires_at: None,
            id_token: None,
        };
        let filled = bare.clone().or_of_before(&tokens());
        let expected = UpstreamTokens {
            access_token: secret("newer"),
            expires_at: None,
            ..tokens()
        };
        assert_eq!(filled, expected);
        assert_eq!(tokens().or_of_before(&bare), tokens());
        assert_eq!(tokens().without_refresh().refresh_token, None);
    }

    #[test]
    fn the_claims_of_an_id_token_are_its_second_part() {
        let payload = encode(br#"{"sub":"ana-1"}"#);
        let claims = claims_of_verified(&format!("x.{payload}.y")).unwrap();
        assert_eq!(claims["sub"], "ana-1");
        for text in ["", "x", "x.y", "x.!.y"] {
            assert_eq!(claims_of_verified(text), None, "{text}");
        }
    }
}
