//! Plain digests of a password and a salt, which only a wrapped hash makes bearable.

use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::recipe::{Digest, Order};

fn over<D: sha2::Digest>(first: &[u8], second: &[u8]) -> Vec<u8> {
    D::new()
        .chain_update(first)
        .chain_update(second)
        .finalize()
        .to_vec()
}

/// Returns the digest of text and salt in this order.
pub(super) fn hash(digest: Digest, order: Order, text: &[u8], salt: &[u8]) -> Vec<u8> {
    let (first, second) = match order {
        Order::SaltFirst => (salt, text),
        Order::PasswordFirst => (text, salt),
    };
    match digest {
        Digest::Md5 => over::<Md5>(first, second),
        Digest::Sha1 => over::<Sha1>(first, second),
        Digest::Sha256 => over::<Sha256>(first, second),
        Digest::Sha512 => over::<Sha512>(first, second),
    }
}
