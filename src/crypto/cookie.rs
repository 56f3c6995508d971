//! Signed cookie values in the Better Auth form: `value.base64(HMAC-SHA256(key, value))` (contract section 3.1).
//! Percent-encoding is the cookie library's business. The signature spares the database a look-up of garbage; the session
//! token inside is a secret of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;

use super::master_key::{MasterKey, MasterKeys};

/// Signs under the current master key.
pub fn sign(value: &str, masters: &MasterKeys) -> String {
    format!("{value}.{}", signature(value, &masters.current().key))
}

/// The value, if any loaded master key signed it.
pub fn open<'v>(signed: &'v str, masters: &MasterKeys) -> Option<&'v str> {
    let (value, signature) = signed.rsplit_once('.')?;
    let signature = STANDARD.decode(signature).ok()?;
    let mut keys = masters.iter();
    keys.any(|m| m.key.cookie_mac().chain_update(value).verify_slice(&signature).is_ok()).then_some(value)
}

fn signature(value: &str, master: &MasterKey) -> String {
    STANDARD.encode(master.cookie_mac().chain_update(value).finalize().into_bytes())
}
