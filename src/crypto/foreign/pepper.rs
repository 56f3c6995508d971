//! The pepper of a service that appended one secret to every password. It is a setting and never
//! stands beside the hashes; the stored text names it by a fingerprint.

use zeroize::Zeroizing;

use crate::crypto::sha256;

/// A secret that was appended to every password. Its `Debug` output is `Pepper(…)`.
#[derive(Clone)]
pub struct Pepper {
    secret: Zeroizing<Vec<u8>>,
    id: [u8; 4],
}

impl Pepper {
    /// Takes a secret as the other service used it.
    pub fn new(secret: &[u8]) -> Self {
        let hash = sha256(secret);
        Self {
            secret: Zeroizing::new(secret.to_vec()),
            id: [hash[0], hash[1], hash[2], hash[3]],
        }
    }

    /// Returns the fingerprint that tells one pepper from another.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Returns the bytes that follow a password.
    pub(super) fn expose(&self) -> &[u8] {
        &self.secret
    }
}

/// The hash was made with another pepper than that of the settings, or there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherPepper;

impl std::fmt::Debug for Pepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pepper(…)")
    }
}
