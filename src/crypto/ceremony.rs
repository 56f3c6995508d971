//! The state of a passkey ceremony: what was asked, sealed for the client that will answer. Nothing is
//! written when a ceremony begins; its challenge is used up when it was answered.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::master_key::MasterKey;
use super::sealed::{self, Header};
use super::{decode_array, encode, sha256};
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;

/// The longest sealed state that is opened, in bytes.
pub const LONGEST: usize = 1_024;

/// What a ceremony is for. The answer to one is refused for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Making a passkey.
    Register,
    /// Signing in with a passkey, or proving it again.
    Authenticate,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Register => "passkey.register",
            Self::Authenticate => "passkey.authenticate",
        }
    }
}

/// The user for whom a ceremony began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The user who is to answer.
    pub user: UserId,
    /// `users.login_epoch` when the ceremony began.
    pub epoch: i64,
}

/// A ceremony that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceremony {
    /// What it is for.
    pub purpose: Purpose,
    /// The challenge that the authenticator signs.
    pub challenge: [u8; 32],
    /// The user for whom it began; `None` for a sign-in by any passkey.
    pub subject: Option<Subject>,
    /// Whether the browser may make the passkey without asking its user.
    pub conditional: bool,
    /// When it can no longer be answered.
    pub expires_at: Timestamp,
}

impl Ceremony {
    /// Seals it under a master key.
    pub fn seal(&self, master: &MasterKey) -> String {
        let state = json!({
            "purpose": self.purpose.as_str(),
            "challenge": encode(&self.challenge),
            "user": self.subject.map(|subject| subject.user.to_string()),
            "epoch": self.subject.map(|subject| subject.epoch),
            "conditional": self.conditional,
            "expires": self.expires_at.0,
        });
        sealed::seal(
            state.to_string().as_bytes(),
            master.ceremony,
            master.id(),
            None,
        )
    }

    /// Opens a ceremony of this purpose that can still be answered; `None` for any other text.
    pub fn open<'k>(
        text: &str,
        purpose: Purpose,
        mut masters: impl Iterator<Item = &'k MasterKey>,
        now: Timestamp,
    ) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let header = Header::read(text).filter(|header| header.row().is_none())?;
        let master = masters.find(|master| master.id() == header.sealed_under())?;
        let plain: Zeroizing<Vec<u8>> = sealed::open(text, master.ceremony)?;
        let state: Value = serde_json::from_slice(&plain).ok()?;
        let subject = match (state["user"].as_str(), state["epoch"].as_i64()) {
            (Some(user), Some(epoch)) => Some(Subject {
                user: user.parse().ok()?,
                epoch,
            }),
            (None, None) => None,
            _ => return None,
        };
        let ceremony = Self {
            purpose,
            challenge: decode_array(state["challenge"].as_str()?)?,
            subject,
            conditional: state["conditional"].as_bool()?,
            expires_at: Timestamp(state["expires"].as_i64()?),
        };
        let is_open = state["purpose"] == purpose.as_str() && now < ceremony.expires_at;
        is_open.then_some(ceremony)
    }

    /// Returns the hash by which its challenge is used up.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&self.challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_219_200_000);

    fn ceremony() -> Ceremony {
        Ceremony {
            purpose: Purpose::Authenticate,
            challenge: [7; 32],
            subject: Some(Subject {
                user: UserId::random([1; 16]),
                epoch: 3,
            }),
            conditional: false,
            expires_at: Timestamp(NOW.0 + 1),
        }
    }

    #[test]
    fn a_state_opens_for_its_purpose_in_its_time_under_its_key() {
        let (a, b) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let open = |text: &str, purpose, keys: &[&MasterKey], now| {
            Ceremony::open(text, purpose, keys.iter().copied(), now)
        };
        let anonymous = Ceremony {
            subject: None,
            conditional: true,
            ..ceremony()
        };
        for one in [ceremony(), anonymous] {
            let sealed = one.seal(&a);
            assert!(sealed.len() < LONGEST, "{}", sealed.len());
            let purpose = Purpose::Authenticate;
            assert_eq!(open(&sealed, purpose, &[&b, &a], NOW), Some(one));
            assert_eq!(open(&sealed, Purpose::Register, &[&a], NOW), None);
            assert_eq!(open(&sealed, purpose, &[&b], NOW), None);
            assert_eq!(open(&sealed, purpose, &[&a], one.expires_at), None);
            for at in 0..sealed.len() {
                let mut bytes = sealed.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(bytes).unwrap();
                assert_eq!(open(&changed, purpose, &[&a], NOW), None, "byte {at}");
            }
        }
        for text in ["", "a.b.c.d.e", &"A".repeat(LONGEST + 1)] {
            assert_eq!(open(text, Purpose::Register, &[&a], NOW), None);
        }
    }

    #[test]
    fn what_was_sealed_for_something_else_is_no_state() {
        let key = MasterKey::new([1; 32]);
        let state = br#"{"purpose":"passkey.register","challenge":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","user":null,"epoch":null,"conditional":true,"expires":9795219200000}"#;
        let open = |text: &str| Ceremony::open(text, Purpose::Register, [&key].into_iter(), NOW);
        let good = sealed::seal(state, key.ceremony, key.id(), None);
        assert!(open(&good).is_some());
        assert_eq!(open(&sealed::seal(state, key.totp, key.id(), None)), None);
        let with_row = sealed::seal(state, key.ceremony, key.id(), Some("row"));
        assert_eq!(open(&with_row), None);
        let no_json = sealed::seal(b"[]", key.ceremony, key.id(), None);
        assert_eq!(open(&no_json), None);
    }
}
