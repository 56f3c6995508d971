//! All code that handles secrets. It does not depend on HTTP, SQL or settings. Private material is
//! held in zeroizing types without `Debug`. aws-lc-rs signs access tokens and is the only back end
//! that jsonwebtoken verifies them with: a second one in the dependency graph would make
//! jsonwebtoken panic.

pub mod argon2id;
pub mod breached;
pub mod ceremony;
pub mod challenge;
pub mod client_secret;
mod compare;
pub mod cookie;
mod cookie_purpose;
pub mod email_code;
pub mod foreign;
mod hash_slots;
pub mod id_token;
pub mod import;
pub mod issuer_keys;
pub mod jwk;
pub mod jws;
pub mod key_ring;
pub mod keypair;
mod labels;
pub mod limit_key;
pub mod logout_token;
pub mod mail_token;
pub mod master_key;
pub mod passkey;
mod passkey_key;
pub mod password;
pub mod presenter;
mod private_jwk;
pub mod public_key;
pub mod recovery_code;
pub mod seal;
mod sealed;
pub mod token;
pub mod totp;
pub mod upstream_state;
pub mod upstream_tokens;
pub mod webhook;

pub use crate::encoding::{decode, decode_array, encode, encode_into, sha256, sha256_of_all};
