//! Argon2id (RFC 9106) and its encoded form, the PHC string; `password` runs it on separate
//! threads.

use crate::model::account::password::Password;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use subtle::ConstantTimeEq;

/// The reason why nothing was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The queue is full: answer 503, so that the client tries again.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The stored hash has a form that is not supported, or costs too much.
    #[error("the stored password hash is unreadable")]
    Unreadable,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password does not match.
    Wrong,
    /// The password matches.
    Right {
        /// Whether the stored hash is weaker than the settings require.
        outdated: bool,
    },
}

/// The three cost parameters of argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory of a hash, in KiB.
    pub memory: u32,
    /// Number of passes (iterations).
    pub iterations: u32,
    /// Number of lanes (parallelism).
    pub parallelism: u32,
}

impl Cost {
    /// The greatest cost of verifying a stored hash, so that an imported hash cannot overload the
    /// machine.
    const MAX: Self = Self {
        memory: 256 * 1024,
        iterations: 16,
        parallelism: 16,
    };

    fn params(self) -> Option<Params> {
        Params::new(self.memory, self.iterations, self.parallelism, Some(OUTPUT)).ok()
    }

    fn is_weaker_than(self, other: Self) -> bool {
        self.memory < other.memory
            || self.iterations < other.iterations
            || self.parallelism < other.parallelism
    }

    fn exceeds(self, other: Self) -> bool {
        self.memory > other.memory
            || self.iterations > other.iterations
            || self.parallelism > other.parallelism
    }
}

pub(super) const OUTPUT: usize = 32;

pub(super) const SALT: usize = 16;

pub(super) fn argon2id(
    password: &Password,
    salt: &[u8],
    cost: Cost,
    memory: &mut Vec<Block>,
) -> Option<[u8; OUTPUT]> {
    let params = cost.params()?;
    memory.resize(params.block_count(), Block::default());
    let mut output = [0; OUTPUT];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2
        .hash_password_into_with_memory(password.expose(), salt, &mut output, &mut memory[..])
        .ok()?;
    Some(output)
}

pub(super) fn phc(cost: Cost, salt: &[u8], output: &[u8]) -> String {
    use base64::Engine;
    let b64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
    format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        cost.memory,
        cost.iterations,
        cost.parallelism,
        b64(salt),
        b64(output)
    )
}

pub(super) fn verify(
    password: &Password,
    stored: &str,
    wanted: Cost,
    memory: &mut Vec<Block>,
) -> Result<Verdict, Error> {
    let hash = PasswordHash::new(stored).map_err(|_| Error::Unreadable)?;
    let number = |name: &str| hash.params.get_decimal(name).ok_or(Error::Unreadable);
    let cost = Cost {
        memory: number("m")?,
        iterations: number("t")?,
        parallelism: number("p")?,
    };
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
        return Err(Error::Unreadable);
    };
    if hash.algorithm.as_str() != "argon2id"
        || hash.version != Some(19)
        || cost.exceeds(Cost::MAX)
        || expected.len() != OUTPUT
    {
        return Err(Error::Unreadable);
    }
    let output = argon2id(password, salt.as_ref(), cost, memory).ok_or(Error::Unreadable)?;
    let right = bool::from(output.ct_eq(expected.as_bytes()));
    Ok(if right {
        Verdict::Right {
            outdated: cost.is_weaker_than(wanted),
        }
    } else {
        Verdict::Wrong
    })
}
