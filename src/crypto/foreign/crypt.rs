//! The functions of `crypt`: those of SHA-2 by the crate sha-crypt, and that of MD5, for which there is
//! no kept crate. Their salts are texts.

use md5::{Digest, Md5};
use sha_crypt::{Params, sha256_crypt, sha512_crypt};
use zeroize::Zeroizing;

use super::base64s::of_crypt;
use super::params::number;
use super::recipe::Recipe;
use super::stored::ForeignHash;
use super::unusable::Unusable;

/// The number of rounds of a hash that names none.
const USUAL_ROUNDS: u32 = 5_000;

/// Returns the hash by SHA-256.
pub(super) fn sha256(text: &[u8], salt: &[u8], rounds: u32) -> Option<Vec<u8>> {
    Some(sha256_crypt(text, salt, Params::new(rounds).ok()?).to_vec())
}

/// Returns the hash by SHA-512.
pub(super) fn sha512(text: &[u8], salt: &[u8], rounds: u32) -> Option<Vec<u8>> {
    Some(sha512_crypt(text, salt, Params::new(rounds).ok()?).to_vec())
}

/// Returns the hash by MD5, as Poul-Henning Kamp's `crypt` of FreeBSD makes it.
pub(super) fn md5(text: &[u8], salt: &[u8]) -> Vec<u8> {
    let inner: [u8; 16] = Md5::new()
        .chain_update(text)
        .chain_update(salt)
        .chain_update(text)
        .finalize()
        .into();
    let mut outer = Md5::new()
        .chain_update(text)
        .chain_update(b"$1$")
        .chain_update(salt);
    for at in (0..text.len()).step_by(inner.len()) {
        outer.update(&inner[..inner.len().min(text.len() - at)]);
    }
    let mut bits = text.len();
    while bits > 0 {
        // The first byte of the password, or a NUL.
        outer.update(if bits & 1 == 0 { &text[..1] } else { &[0] });
        bits >>= 1;
    }
    let mut hash = Zeroizing::new(<[u8; 16]>::from(outer.finalize()));
    for round in 0..1_000 {
        let mut next = Md5::new();
        let hash_first = round % 2 == 0;
        next.update(if hash_first { &hash[..] } else { text });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(text);
        }
        next.update(if hash_first { text } else { &hash[..] });
        *hash = next.finalize().into();
    }
    hash.to_vec()
}

/// Reads `$5$`, `$6$` or `$1$` with a salt and a hash behind it, and `rounds=` between them if it is there.
pub(super) fn read(text: &str) -> Result<ForeignHash, Unusable> {
    let mut parts = text.split('$').skip(1);
    let mut next = || parts.next().ok_or(Unusable::Malformed);
    let (name, mut salt) = (next()?, next()?);
    let mut rounds = USUAL_ROUNDS;
    if let Some(named) = salt.strip_prefix("rounds=").filter(|_| name != "1") {
        rounds = number(named)?;
        salt = next()?;
    }
    let hash = next()?;
    if next().is_ok() {
        return Err(Unusable::Malformed);
    }
    let (recipe, hash) = match name {
        "1" => (Recipe::Md5Crypt, of_crypt(hash, &MD5_ORDER)?.to_vec()),
        "5" => (
            Recipe::Sha256Crypt { rounds },
            of_crypt(hash, &sha256_order())?.to_vec(),
        ),
        "6" => (
            Recipe::Sha512Crypt { rounds },
            of_crypt(hash, &sha512_order())?.to_vec(),
        ),
        _ => return Err(Unusable::Unknown),
    };
    ForeignHash::bare(recipe, salt.as_bytes().to_vec(), hash)
}

/// Which byte each place of the text has, the lowest one of each group first.
const MD5_ORDER: [usize; 16] = [12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11];

/// Returns the order of the 32 bytes: three counters ten apart, which change places.
fn sha256_order() -> [usize; 32] {
    let mut order = [0; 32];
    let (mut a, mut b, mut c) = (0, 10, 20);
    for group in order[..30].chunks_mut(3) {
        group.copy_from_slice(&[c, b, a]);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    order[30] = 30;
    order[31] = 31;
    order
}

/// Returns the order of the 64 bytes: three counters twenty-one apart, which change places.
fn sha512_order() -> [usize; 64] {
    let mut order = [0; 64];
    let (mut a, mut b, mut c) = (0, 21, 42);
    for group in order[..63].chunks_mut(3) {
        group.copy_from_slice(&[c, b, a]);
        (a, b, c) = (b + 1, c + 1, a + 1);
    }
    order[63] = 63;
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_one_place() {
        let sorted = |order: &[usize]| {
            let mut order = order.to_vec();
            order.sort_unstable();
            order
        };
        assert_eq!(sorted(&MD5_ORDER), (0..16).collect::<Vec<_>>());
        assert_eq!(sorted(&sha256_order()), (0..32).collect::<Vec<_>>());
        assert_eq!(sorted(&sha512_order()), (0..64).collect::<Vec<_>>());
    }

    /// Hashes of passlib 1.7.4, with no salt, a short one, and a text that is longer than a digest.
    #[test]
    fn md5_takes_every_length_of_salt_and_text() {
        let long = "x".repeat(100);
        for (text, stored) in [
            ("correct horse battery", "$1$$tawgmXAaO5mNCNnCZ0yxH1"),
            (long.as_str(), "$1$ab$s5cdzXI1VZ8fHADCvf1uE1"),
        ] {
            let hash = read(stored).unwrap();
            assert_eq!(md5(text.as_bytes(), &hash.salt), *hash.hash, "{stored}");
            assert_ne!(md5(b"x", &hash.salt), *hash.hash, "{stored}");
        }
    }
}
