//! ASP.NET Identity: PBKDF2 with its parameters in front, as bytes in base64.

use super::super::base64s::of_standard;
use super::super::recipe::Prf;
use super::super::stored::ForeignHash;
use super::super::unusable::Unusable;

/// The second version has no parameters: 1,000 rounds of SHA-1, 16 bytes of salt.
const FORMER_ROUNDS: u32 = 1_000;
const FORMER_SALT: usize = 16;

fn number(bytes: &mut &[u8]) -> Result<u32, Unusable> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Unusable::Malformed)?;
    *bytes = rest;
    Ok(u32::from_be_bytes(*number))
}

/// Reads a hash of version 2 or 3.
pub(super) fn read(text: &str) -> Result<ForeignHash, Unusable> {
    let bytes = of_standard(text)?;
    let (version, mut rest) = bytes.split_first().ok_or(Unusable::Malformed)?;
    let (prf, rounds, salt) = match version {
        0 => (Prf::Sha1, FORMER_ROUNDS, FORMER_SALT),
        1 => {
            let prf = match number(&mut rest)? {
                0 => Prf::Sha1,
                1 => Prf::Sha256,
                2 => Prf::Sha512,
                _ => return Err(Unusable::Unknown),
            };
            let (rounds, salt) = (number(&mut rest)?, number(&mut rest)?);
            (prf, rounds, salt as usize)
        }
        _ => return Err(Unusable::Unknown),
    };
    let (salt, hash) = rest.split_at_checked(salt).ok_or(Unusable::Malformed)?;
    super::pbkdf2(prf, rounds, salt.to_vec(), hash.to_vec())
}
