//! bcrypt, and what other software does to a text before it: a pepper behind it, or SHA-256. The
//! function reads no more than 72 bytes, of which the last one ends a shorter text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::base64s::{bcrypt as encoded, of_bcrypt};
use super::params::number;
use super::pepper::Pepper;
use super::recipe::{Before, Recipe};
use super::stored::ForeignHash;
use super::unusable::Unusable;

/// The number of bytes of a text that bcrypt reads.
pub(super) const READ: usize = 72;

/// The length of a salt in bcrypt's own letters.
const SALT_LETTERS: usize = 22;

/// Returns the text that bcrypt gets; `None` if the pepper of the hash is not the one of the settings.
fn prepared(
    before: Before,
    text: &[u8],
    salt: &[u8; 16],
    pepper: Option<&Pepper>,
) -> Option<Zeroizing<Vec<u8>>> {
    Some(Zeroizing::new(match before {
        Before::Nothing => text.to_vec(),
        Before::Pepper(id) => {
            let pepper = pepper.filter(|pepper| pepper.id() == id)?.expose();
            let mut all = Vec::with_capacity(text.len() + pepper.len());
            all.extend_from_slice(text);
            all.extend_from_slice(pepper);
            all
        }
        Before::Hex => hex::encode(Sha256::digest(text)).into_bytes(),
        Before::Base64 => STANDARD.encode(Sha256::digest(text)).into_bytes(),
        Before::Hmac => {
            let mut mac = Hmac::<Sha256>::new_from_slice(encoded(salt).as_bytes()).ok()?;
            mac.update(text);
            STANDARD.encode(mac.finalize().into_bytes()).into_bytes()
        }
    }))
}

/// Returns the hash of a text; `None` if the pepper of the hash is not the one of the settings.
pub(super) fn hash(
    (cost, before): (u32, Before),
    text: &[u8],
    salt: &[u8],
    pepper: Option<&Pepper>,
) -> Option<Vec<u8>> {
    let salt: [u8; 16] = salt.try_into().ok()?;
    let prepared = prepared(before, text, &salt, pepper)?;
    let mut key = Zeroizing::new([0; READ]);
    let length = prepared.len().min(READ);
    key[..length].copy_from_slice(&prepared[..length]);
    // A shorter text ends with a NUL.
    let key = &key[..READ.min(length + 1)];
    Some(bcrypt::bcrypt(cost, salt, key)[..23].to_vec())
}

/// Reads `$2b$10$` with salt and hash behind it.
pub(super) fn read(text: &str, before: Before) -> Result<ForeignHash, Unusable> {
    let rest = text.strip_prefix("$2").ok_or(Unusable::Unknown)?;
    let mut parts = rest.split('$');
    let (Some(letter), Some(cost), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Unusable::Malformed);
    };
    let letter = match letter {
        "a" | "b" | "y" => letter.as_bytes()[0],
        // `$2$` and `$2x$` are hashes of programs with faults.
        _ => return Err(Unusable::Unknown),
    };
    if cost.len() != 2 || hash.len() != SALT_LETTERS + 31 || !hash.is_ascii() {
        return Err(Unusable::Malformed);
    }
    let recipe = Recipe::Bcrypt {
        cost: number(cost)?,
        letter,
        before,
    };
    let (salt, hash) = hash.split_at(SALT_LETTERS);
    ForeignHash::bare(recipe, of_bcrypt(salt)?, of_bcrypt(hash)?)
}

/// Prints what [`read`] reads.
pub(super) fn print(cost: u32, letter: u8, salt: &[u8], hash: &[u8]) -> String {
    format!(
        "$2{}${cost:02}${}{}",
        char::from(letter),
        encoded(salt),
        encoded(hash)
    )
}

/// Reads passlib's `bcrypt_sha256`: `$bcrypt-sha256$v=2,t=2b,r=12$salt$hash`, or `$2a,12$salt$hash` in
/// its first version.
pub(super) fn read_passlib(text: &str) -> Result<ForeignHash, Unusable> {
    let rest = text
        .strip_prefix("$bcrypt-sha256$")
        .ok_or(Unusable::Unknown)?;
    let mut parts = rest.split('$');
    let (Some(params), Some(salt), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Unusable::Malformed);
    };
    let (before, params) = match params.strip_prefix("v=2,t=") {
        Some(params) => (Before::Hmac, params.replace(",r=", ",")),
        None => (Before::Base64, params.to_owned()),
    };
    let (letter, cost) = params.split_once(',').ok_or(Unusable::Malformed)?;
    let cost: u32 = number(cost)?;
    read(&format!("${letter}${cost:02}${salt}{hash}"), before)
}
