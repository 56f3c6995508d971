//! The tokens of links in mails: key version (1 byte), row id (16), HMAC of both and of the purpose
//! (32). Computed when the mail is sent, checked before the database is asked, and never stored.

use hmac::Mac;
use zeroize::Zeroizing;

use crate::model::kernel::id::EventId;
use crate::model::mail::Purpose;

use super::master_key::{MasterKey, MasterKeys};
use super::{decode, encode};

const ID: usize = 16;
const LENGTH: usize = 1 + ID + 32;

/// What a link is for, as a part of its HMAC: a link is refused at every other place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A link whose row is in `mail_tokens`.
    Link(Purpose),
    /// A sign-in, whose row is in `login_codes`.
    SignIn,
}

impl Use {
    fn as_str(self) -> &'static str {
        match self {
            Self::Link(purpose) => purpose.as_str(),
            Self::SignIn => "sign_in",
        }
    }
}

impl From<Purpose> for Use {
    fn from(purpose: Purpose) -> Self {
        Self::Link(purpose)
    }
}

/// Returns the token of a link as text, under the current master key.
pub fn make(id: EventId, purpose: impl Into<Use>, masters: &MasterKeys) -> Zeroizing<String> {
    let master = masters.current();
    let mut bytes = Zeroizing::new(vec![master.version]);
    bytes.extend_from_slice(id.as_bytes());
    let mac = mac(&master.key, &bytes, purpose.into())
        .finalize()
        .into_bytes();
    bytes.extend_from_slice(&mac);
    Zeroizing::new(encode(&bytes))
}

/// Returns the id of the row that the token belongs to, if it was made for this purpose.
pub fn open(text: &str, purpose: impl Into<Use>, masters: &MasterKeys) -> Option<EventId> {
    let bytes = Zeroizing::new(decode(text)?);
    if bytes.len() != LENGTH {
        return None;
    }
    let (head, tag) = bytes.split_at(1 + ID);
    let master = masters.version(head[0])?;
    mac(&master.key, head, purpose.into())
        .verify_slice(tag)
        .ok()?;
    let id: [u8; ID] = head[1..].try_into().ok()?;
    Some(EventId(uuid::Uuid::from_bytes(id)))
}

fn mac(key: &MasterKey, head: &[u8], purpose: Use) -> hmac::Hmac<sha2::Sha256> {
    key.mail_mac()
        .chain_update(head)
        .chain_update(purpose.as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::master_key::Versioned;

    fn masters(current: u8, others: &[u8]) -> MasterKeys {
        let versioned = |version: u8| Versioned {
            version,
            key: Arc::new(MasterKey::new([version; 32])),
        };
        let others = others.iter().map(|version| versioned(*version)).collect();
        MasterKeys::new(versioned(current), others)
    }

    #[test]
    fn a_link_opens_for_its_own_purpose_and_in_no_other_form() {
        let (keys, id) = (masters(1, &[]), EventId(uuid::Uuid::from_bytes([9; 16])));
        for made_for in Purpose::ALL {
            let token = make(id, made_for, &keys);
            assert_eq!(token.len(), LENGTH.div_ceil(3) * 4 - 2);
            for opened_for in Purpose::ALL {
                let expected = (made_for == opened_for).then_some(id);
                assert_eq!(
                    open(&token, opened_for, &keys),
                    expected,
                    "{made_for:?} {opened_for:?}"
                );
            }
        }
        let token = make(id, Purpose::VerifyEmail, &keys);
        let bytes = decode(&token).unwrap();
        for bit in 0..LENGTH * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened = open(&encode(&flipped), Purpose::VerifyEmail, &keys);
            assert_eq!(opened, None, "bit {bit}");
        }
        for odd in [
            encode(&bytes[..LENGTH - 1]),
            encode(&[&bytes[..], &[0]].concat()),
            format!("{}=", *token),
            String::new(),
        ] {
            assert_eq!(open(&odd, Purpose::VerifyEmail, &keys), None, "{odd}");
        }
    }

    #[test]
    fn a_link_is_made_under_the_current_master_key_and_opens_while_that_is_loaded() {
        let id = EventId(uuid::Uuid::from_bytes([9; 16]));
        let token = make(id, Purpose::DeleteUser, &masters(2, &[1]));
        let opened = |keys: &MasterKeys| open(&token, Purpose::DeleteUser, keys);
        assert_eq!(opened(&masters(3, &[2])), Some(id));
        assert_eq!(opened(&masters(1, &[])), None);
        assert_eq!(opened(&masters(3, &[1])), None);
    }
}
