//! Every line that touches a secret. Nothing here knows of HTTP, SQL or settings; private material
//! lives in zeroizing types without `Debug`. aws-lc-rs signs access tokens and is the only back end
//! that jsonwebtoken verifies them with: a second one in the graph would make jsonwebtoken panic.

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

/// base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends base64url without padding.
pub fn encode_into(text: &mut String, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Strict base64url without padding: no other alphabet, no spare bits.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes exactly `N` bytes.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

/// SHA-256: how every bearer secret is stored (each has 256 bits of its own, so no slow hash is
/// needed).
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
