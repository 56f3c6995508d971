//! Codes of authenticator apps (RFC 6238): SHA-1, six digits, 30 s, one step earlier or later. The
//! secret is sealed under the master key and opens only in the row of its user.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use super::master_key::MasterKey;
use super::sealed::{self, Header};
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;

/// The length of a new secret in bytes (RFC 4226 section 4).
pub const SECRET_LENGTH: usize = 20;

/// The characters that are encoded in a part of the URI, as JavaScript's `encodeURIComponent` does.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The seconds of one step.
const STEP: u64 = 30;

/// The reason why a sealed secret could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Error {
    #[error(
        "the authenticator secret of user {user} was sealed under the master key {sealed_under}, which is not loaded"
    )]
    OtherMasterKey { user: UserId, sealed_under: String },
    #[error(
        "the authenticator secret of user {0} cannot be decrypted: its row was damaged or changed"
    )]
    Damaged(UserId),
}

/// The secret that an authenticator app shares with this service.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl TotpSecret {
    /// Makes a secret from random bytes.
    pub fn new(bytes: [u8; SECRET_LENGTH]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// Seals it for the row of this user.
    pub fn seal(&self, user: UserId, master: &MasterKey) -> String {
        sealed::seal(&self.0, master.totp, master.id(), Some(&user.to_string()))
    }

    /// Opens the secret of a user's row under one of the loaded master keys.
    ///
    /// # Errors
    /// [`Error::OtherMasterKey`], or [`Error::Damaged`] if it is not the secret of this user.
    pub fn open<'k>(
        jwe: &str,
        user: UserId,
        mut masters: impl Iterator<Item = &'k MasterKey>,
    ) -> Result<Self, Error> {
        let header = Header::read(jwe).ok_or(Error::Damaged(user))?;
        let sealed_under = header.sealed_under();
        let master = masters
            .find(|master| master.id() == sealed_under)
            .ok_or_else(|| Error::OtherMasterKey {
                user,
                sealed_under: sealed_under.to_owned(),
            })?;
        if header.row() != Some(user.to_string().as_str()) {
            return Err(Error::Damaged(user));
        }
        sealed::open(jwe, master.totp)
            .map(Self)
            .ok_or(Error::Damaged(user))
    }

    /// Returns the step of a code that is right at `now`; spaces in the code are ignored. The
    /// caller sees to it that a step is accepted once.
    pub fn step_of(&self, code: &str, now: Timestamp) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let seconds = u64::try_from(now.seconds()).ok()?;
        let step = self.totp().check(&code, seconds)?;
        i64::try_from(step).ok()
    }

    #[cfg(test)]
    fn code_at(&self, time: Timestamp) -> String {
        let seconds = u64::try_from(time.seconds()).unwrap_or(0);
        self.totp().generate(seconds).to_string()
    }

    /// Returns the secret in the form that is typed into an app (RFC 4648 base32).
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(Secret::from(self.0.to_vec()).to_base32())
    }

    /// Returns the `otpauth` URI that a QR code shows.
    pub fn uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let encoded = |text| utf8_percent_encode(text, ENCODED);
        Zeroizing::new(format!(
            "otpauth://totp/{}:{}?secret={}&issuer={}&digits=6&period={STEP}",
            encoded(issuer),
            encoded(account),
            *self.base32(),
            encoded(issuer)
        ))
    }

    fn totp(&self) -> Totp {
        // Secrets from elsewhere may be shorter than a new one; the length is not checked here.
        Builder::new()
            .with_step_duration(STEP)
            .with_secret(self.0.to_vec())
            .build_noncompliant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(byte: u8) -> UserId {
        UserId::random([byte; 16])
    }

    /// The vectors of RFC 6238 appendix B, cut to six digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = TotpSecret::new(*b"12345678901234567890");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.code_at(Timestamp(seconds * 1000)), code);
        }
        assert_eq!(*secret.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn a_code_is_right_one_step_before_and_after_its_own() {
        let secret = TotpSecret::new([7; 20]);
        let now = Timestamp(1_795_219_215_000);
        let step = now.seconds() / 30;
        for offset in -3..=3 {
            let code = secret.code_at(Timestamp(now.0 + offset * 30_000));
            let expected = (offset.abs() <= 1).then_some(step + offset);
            assert_eq!(secret.step_of(&code, now), expected, "{offset}");
        }
        let code = secret.code_at(now);
        let spaced = format!(" {} {} ", &code[..3], &code[3..]);
        assert_eq!(secret.step_of(&spaced, now), Some(step));
        for wrong in [
            "",
            "1",
            "12345",
            "1234567",
            "abcdef",
            "-12345",
            "１２３４５６",
        ] {
            assert_eq!(secret.step_of(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_opens_only_for_its_user_under_its_master_key() {
        let (a, b) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let secret = TotpSecret::new([7; 20]);
        let jwe = secret.seal(user(1), &a);
        let open = |jwe: &str, of, keys: &[&MasterKey]| {
            TotpSecret::open(jwe, of, keys.iter().copied()).map(|s| s.base32().to_string())
        };
        assert_eq!(
            open(&jwe, user(1), &[&b, &a]),
            Ok(secret.base32().to_string())
        );
        assert_eq!(open(&jwe, user(2), &[&a]), Err(Error::Damaged(user(2))));
        let other = Error::OtherMasterKey {
            user: user(1),
            sealed_under: a.id().to_owned(),
        };
        assert_eq!(open(&jwe, user(1), &[&b]), Err(other));
        for at in 0..jwe.len() {
            let mut bytes = jwe.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(open(&changed, user(1), &[&a]).is_err(), "byte {at}");
        }
        // A secret for signing keys has another key and no row.
        let foreign = sealed::seal(&[7; 20], a.seal, a.id(), Some(&user(1).to_string()));
        assert!(open(&foreign, user(1), &[&a]).is_err());
        let unbound = sealed::seal(&[7; 20], a.totp, a.id(), None);
        assert!(open(&unbound, user(1), &[&a]).is_err());
    }

    #[test]
    fn names_with_any_character_stay_inside_their_part_of_the_uri() {
        let uri = TotpSecret::new([0; 20]).uri("A&B: Löwe", "a+b?c#d@example.com");
        let parsed = url::Url::parse(&uri).unwrap();
        assert_eq!(
            (parsed.scheme(), parsed.host_str()),
            ("otpauth", Some("totp"))
        );
        let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        assert_eq!(pairs[0], ("secret".into(), "A".repeat(32)));
        assert_eq!(pairs[1], ("issuer".into(), "A&B: Löwe".into()));
        assert!(parsed.fragment().is_none());
    }
}
