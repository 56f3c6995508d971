//! All code that handles secrets. It does not depend on HTTP, SQL or settings. Private material is
//! held in zeroizing types without `Debug`. aws-lc-rs signs access tokens and is the only back end
//! that jsonwebtoken verifies them with: a second one in the dependency graph would make
//! jsonwebtoken panic.

pub mod argon2id;
pub mod breached;
pub mod cookie;
mod hash_slots;
pub mod jwk;
pub mod jws;
pub mod key_ring;
pub mod keypair;
pub mod mail_token;
pub mod master_key;
pub mod password;
pub mod presenter;
pub mod seal;
pub mod token;
pub mod webhook;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Encodes as base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends bytes as base64url without padding.
pub fn encode_into(text: &mut String, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Decodes strict base64url without padding: no other alphabet, no spare bits.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes exactly `N` bytes.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

/// Returns the SHA-256 hash. Every bearer secret is stored in this form; each has 256 random bits,
/// so a slow hash is not needed.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
