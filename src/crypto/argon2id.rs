//! Argon2id (RFC 9106) and its encoded form, the PHC string: makes and verifies hashes, and tells
//! which are weaker than the settings ask. `password` runs it on separate threads.

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
    /// The stored hash was made with a pepper that the settings do not have.
    #[error("the stored password hash needs another pepper than passwords.pepper")]
    Pepper,
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
    pub(in crate::crypto) const MAX: Self = Self {
        memory: 256 * 1024,
        iterations: 16,
        parallelism: 16,
    };

    fn params(self) -> Option<Params> {
        Params::new(self.memory, self.iterations, self.parallelism, Some(OUTPUT)).ok()
    }

    /// Returns whether argon2 can be run at this cost.
    pub(in crate::crypto) fn is_possible(self) -> bool {
        self.params().is_some()
    }

    pub(in crate::crypto) fn is_weaker_than(self, other: Self) -> bool {
        self.memory < other.memory
            || self.iterations < other.iterations
            || self.parallelism < other.parallelism
    }

    pub(in crate::crypto) fn exceeds(self, other: Self) -> bool {
        self.memory > other.memory
            || self.iterations > other.iterations
            || self.parallelism > other.parallelism
    }
}

pub(in crate::crypto) const OUTPUT: usize = 32;

pub(in crate::crypto) const SALT: usize = 16;

pub(in crate::crypto) fn argon2id(
    text: &[u8],
    salt: &[u8],
    cost: Cost,
    memory: &mut Vec<Block>,
) -> Option<[u8; OUTPUT]> {
    let params = cost.params()?;
    memory.resize(params.block_count(), Block::default());
    let mut output = [0; OUTPUT];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2
        .hash_password_into_with_memory(text, salt, &mut output, &mut memory[..])
        .ok()?;
    Some(output)
}

pub(in crate::crypto) fn phc(cost: Cost, salt: &[u8], output: &[u8]) -> String {
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

/// Compares with a hash of our own: `None` if the password is wrong, or whether the hash is weaker than
/// wanted.
pub(super) fn verify(
    password: &Password,
    stored: &str,
    wanted: Cost,
    memory: &mut Vec<Block>,
) -> Result<Option<bool>, Error> {
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
    let output =
        argon2id(password.expose(), salt.as_ref(), cost, memory).ok_or(Error::Unreadable)?;
    let right = bool::from(output.ct_eq(expected.as_bytes()));
    Ok(right.then(|| cost.is_weaker_than(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::password::Length;

    #[test]
    fn a_hash_is_outdated_if_any_cost_is_lower_and_too_dear_if_any_is_above_the_bound() {
        let cost = |memory, iterations, parallelism| Cost {
            memory,
            iterations,
            parallelism,
        };
        let bound = cost(64, 2, 2);
        for (cost, weaker, exceeds) in [
            (bound, false, false),
            (cost(63, 2, 2), true, false),
            (cost(64, 1, 2), true, false),
            (cost(64, 2, 1), true, false),
            (cost(65, 2, 2), false, true),
            (cost(64, 3, 2), false, true),
            (cost(64, 2, 3), false, true),
        ] {
            assert_eq!(cost.is_weaker_than(bound), weaker, "{cost:?}");
            assert_eq!(cost.exceeds(bound), exceeds, "{cost:?}");
        }
        assert_eq!(Cost::MAX, cost(262_144, 16, 16), "a quarter of a gigabyte");
    }

    /// A hash of the tests of the reference implementation (`test.c`, Argon2id of version 1.3).
    #[test]
    fn a_hash_of_another_program_verifies_at_its_own_costs() {
        let stored =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let length = Length { min: 8, max: 128 };
        let (right, wrong) = ["password", "passwore"]
            .map(|text| Password::attempt(text, length).unwrap())
            .into();
        let cost = |memory| Cost {
            memory,
            iterations: 2,
            parallelism: 1,
        };
        let verdict =
            |password: &Password, wanted| verify(password, stored, cost(wanted), &mut Vec::new());
        assert_eq!(verdict(&right, 256), Ok(Some(false)));
        assert_eq!(verdict(&right, 257), Ok(Some(true)));
        assert_eq!(verdict(&wrong, 256), Ok(None));
        for odd in [
            stored.replace("v=19", "v=16"),
            stored.replace("argon2id", "argon2i"),
            stored.replace("Gi/4", ""),
            stored.replace("m=256,", ""),
            stored.replace("p=1", "p=17"),
            stored.replace("t=2", "t=17"),
        ] {
            let refused = verify(&right, &odd, cost(256), &mut Vec::new());
            assert_eq!(refused, Err(Error::Unreadable), "{odd}");
        }
    }
}
