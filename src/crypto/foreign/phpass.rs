//! The portable hashes of phpass, which WordPress and phpBB wrote: rounds of MD5. There is no kept
//! crate for them.

use md5::{Digest, Md5};

use super::base64s::{crypt_value, of_crypt};
use super::recipe::Recipe;
use super::stored::ForeignHash;
use super::unusable::Unusable;

/// Returns the hash of a text.
pub(super) fn hash(text: &[u8], salt: &[u8], log_rounds: u32) -> Vec<u8> {
    let mut hash = Md5::new().chain_update(salt).chain_update(text).finalize();
    for _ in 0..1_u32 << log_rounds {
        hash = Md5::new().chain_update(hash).chain_update(text).finalize();
    }
    hash.to_vec()
}

/// The bytes of a hash stand in their own order, the first one of each group lowest.
const ORDER: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Reads `$P$` or `$H$`, a letter for the rounds, eight letters of salt and the hash.
pub(super) fn read(text: &str) -> Result<ForeignHash, Unusable> {
    let rest = text
        .strip_prefix("$P$")
        .or_else(|| text.strip_prefix("$H$"))
        .ok_or(Unusable::Unknown)?;
    if rest.len() != 31 || !rest.is_ascii() {
        return Err(Unusable::Malformed);
    }
    let log_rounds = crypt_value(rest.as_bytes()[0]).ok_or(Unusable::Malformed)?;
    let (salt, hash) = rest[1..].split_at(8);
    ForeignHash::bare(
        Recipe::Phpass { log_rounds },
        salt.as_bytes().to_vec(),
        of_crypt(hash, &ORDER)?.to_vec(),
    )
}
