//! Refresh tokens from any bytes, under a good tag. The format is written here once more, from its
//! description and not from the code under test: a target checks at its start that a token of the
//! service comes out unchanged.

use countersign::crypto::{decode, encode};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::service::MASTER_KEY;

const PREFIX: &str = "csr_";
/// Bytes before the tag: key version (1), session id (16), generation (4), secret (32), parent's
/// secret (32).
pub const TAGGED: usize = 85;
/// Bytes of the tag.
const TAG: usize = 16;

/// What a tag vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tagged(pub [u8; TAGGED]);

impl Tagged {
    /// Takes a token apart; its tag is not checked.
    ///
    /// # Panics
    /// If it has not the form of a token.
    pub fn of(token: &str) -> Self {
        let bytes = token
            .strip_prefix(PREFIX)
            .and_then(decode)
            .expect("a token");
        assert_eq!(bytes.len(), TAGGED + TAG);
        Self(bytes[..TAGGED].try_into().expect("so many bytes"))
    }

    /// Returns the token with a good tag.
    pub fn signed(&self) -> String {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(None, &MASTER_KEY)
            .expand(b"countersign/refresh/tag/v1", &mut key)
            .expect("32 bytes are a valid length");
        let mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
        let tag = mac.chain_update(self.0).finalize().into_bytes();
        format!("{PREFIX}{}", encode(&[&self.0[..], &tag[..TAG]].concat()))
    }

    /// Returns the session's id and the secret: what the service knows a token by.
    pub fn known_by(&self) -> (&[u8], &[u8]) {
        (&self.0[1..17], &self.0[21..53])
    }
}
