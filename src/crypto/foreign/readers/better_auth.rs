//! Better Auth: scrypt with fixed parameters, `salt:key` in hexadecimal. The salt is the text of its
//! digits, and the password is hashed in NFKC.

use super::super::base64s::of_hex;
use super::super::forms::Form;
use super::super::recipe::{Recipe, Scrypt};
use super::super::stored::ForeignHash;
use super::super::unusable::Unusable;

const SCRYPT: Scrypt = Scrypt {
    log_n: 14,
    r: 16,
    p: 1,
};

/// The length of its keys, in bytes.
const KEY: usize = 64;

/// Reads a hash, `salt:key`, both in hexadecimal.
pub(super) fn read(text: &str) -> Result<ForeignHash, Unusable> {
    let [salt, key] = super::parts(text, ':')?;
    let (is_hex, key) = (of_hex(salt)?, of_hex(key)?);
    if is_hex.is_empty() || key.len() != KEY {
        return Err(Unusable::Malformed);
    }
    let recipe = Recipe::Scrypt(SCRYPT, Form::Compatible);
    ForeignHash::bare(recipe, salt.as_bytes().to_vec(), key)
}
