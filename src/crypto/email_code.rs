//! The codes of mails: six digits from an HMAC of their row, computed when the mail is sent and when
//! a code is typed, and stored nowhere. A copy of the database without the master key tells no code.

use hmac::Mac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::master_key::{MasterKeys, mac};
use crate::model::login::email_code::EmailCode;

/// The number of different codes.
const CODES: u64 = 1_000_000;

/// Returns the code of a row; `None` if the master key that it was made with is not loaded.
pub fn of(row: &EmailCode, masters: &MasterKeys) -> Option<Zeroizing<String>> {
    let master = masters.version(row.key_version)?;
    let mut mac = mac(&master.key.code);
    mac.update(row.id.as_bytes());
    // Each part has one length or ends the text, so two rows never give the same input.
    mac.update(row.purpose.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(row.email.as_str().as_bytes());
    let bytes = mac.finalize().into_bytes();
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    // Of 2^64 values the remainders differ by less than one in ten trillion.
    let number = u64::from_be_bytes(first) % CODES;
    Some(Zeroizing::new(format!("{number:06}")))
}

/// Returns whether a text is the code of a row. Spaces and dashes in it do not count, because mail
/// programs and people write them.
pub fn matches(row: &EmailCode, typed: &str, masters: &MasterKeys) -> bool {
    let digits: Zeroizing<String> = Zeroizing::new(
        typed
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .collect(),
    );
    of(row, masters).is_some_and(|code| bool::from(code.as_bytes().ct_eq(digits.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::master_key::{MasterKey, Versioned};
    use crate::model::kernel::id::EventId;
    use crate::model::kernel::time::Timestamp;
    use crate::model::login::email_code::CodePurpose;

    fn masters(secret: [u8; 32]) -> MasterKeys {
        let key = Arc::new(MasterKey::new(secret));
        MasterKeys::new(Versioned { version: 1, key }, Vec::new())
    }

    fn row() -> EmailCode {
        EmailCode {
            id: EventId::at(Timestamp(1_000), [7; 10]),
            purpose: CodePurpose::SignIn,
            email: "ana@example.com".parse().unwrap(),
            user: None,
            challenge: None,
            binding: None,
            key_version: 1,
            has_link: true,
            name: None,
            user_agent: String::new(),
            device: None,
            created_at: Timestamp(1_000),
            expires_at: Timestamp(2_000),
        }
    }

    #[test]
    fn a_code_is_six_digits_of_its_row_and_its_key_alone() {
        let keys = masters([1; 32]);
        let code = of(&row(), &keys).unwrap();
        assert_eq!(code.len(), 6);
        assert!(code.bytes().all(|b| b.is_ascii_digit()), "{}", *code);
        assert_eq!(of(&row(), &keys).unwrap(), code);
        let spaced = format!(" {} {}-{}", &code[..2], &code[2..3], &code[3..]);
        assert!(matches(&row(), &spaced, &keys));
        for other in [
            EmailCode {
                id: EventId::at(Timestamp(1_000), [8; 10]),
                ..row()
            },
            EmailCode {
                purpose: CodePurpose::ResetPassword,
                ..row()
            },
            EmailCode {
                email: "anb@example.com".parse().unwrap(),
                ..row()
            },
        ] {
            assert!(!matches(&other, &code, &keys), "{other:?}");
        }
        let another = masters([2; 32]);
        assert!(!matches(&row(), &code, &another));
        let next = EmailCode {
            key_version: 2,
            ..row()
        };
        assert_eq!(of(&next, &keys), None);
        assert!(!matches(&next, "", &keys));
    }

    #[test]
    fn codes_are_spread_over_all_digits() {
        let keys = masters([1; 32]);
        let mut seen = [0_u32; 10];
        for n in 0..=255 {
            let id = EventId::at(Timestamp(1_000), [n; 10]);
            let code = of(&EmailCode { id, ..row() }, &keys).unwrap();
            seen[usize::from(code.as_bytes()[0] - b'0')] += 1;
        }
        assert!(
            seen.iter().all(|count| (8..=50).contains(count)),
            "{seen:?}"
        );
    }
}
