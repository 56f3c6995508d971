//! Firebase: the signer key of a project, encrypted under a key that scrypt derives. What is kept is
//! the key stream, so that the signer key of the project does not come into the database.

use zeroize::Zeroizing;

use super::super::base64s::of_standard;
use super::super::recipe::{Recipe, Scrypt};
use super::super::stored::ForeignHash;
use super::super::unusable::Unusable;
use super::Options;

/// The parameters of the hashes of a project, as its console shows them. They hold a secret.
#[derive(Clone)]
pub struct FirebaseParameters {
    signer_key: Zeroizing<Vec<u8>>,
    salt_separator: Vec<u8>,
    scrypt: Scrypt,
}

impl FirebaseParameters {
    /// Takes `base64_signer_key`, `base64_salt_separator`, `rounds` and `mem_cost`.
    ///
    /// # Errors
    /// [`Unusable::Malformed`] if a text is not base64.
    pub fn new(
        signer_key: &str,
        salt_separator: &str,
        rounds: u32,
        mem_cost: u8,
    ) -> Result<Self, Unusable> {
        Ok(Self {
            signer_key: Zeroizing::new(of_standard(signer_key)?),
            salt_separator: of_standard(salt_separator)?,
            scrypt: Scrypt {
                log_n: mem_cost,
                r: rounds,
                p: 1,
            },
        })
    }
}

/// Reads `passwordHash`; the salt of the row is in the options.
pub(super) fn read(text: &str, options: &Options<'_>) -> Result<ForeignHash, Unusable> {
    let (Some(project), Some(salt)) = (options.firebase, options.salt) else {
        return Err(Unusable::Incomplete);
    };
    let encrypted = of_standard(text)?;
    if encrypted.len() != project.signer_key.len() {
        return Err(Unusable::Malformed);
    }
    let pairs = encrypted.iter().zip(project.signer_key.iter());
    let stream = pairs.map(|(one, other)| one ^ other).collect();
    let salt = [salt.bytes()?, project.salt_separator.clone()].concat();
    ForeignHash::bare(Recipe::Firebase(project.scrypt), salt, stream)
}
