//! How much a hash of other software may cost at most, and which ones cost so little beside our own that
//! they are not stored as they are.

use std::ops::RangeInclusive;

use crate::crypto::argon2id::Cost;

use super::recipe::{Prf, Recipe, Scrypt};
use super::unusable::Unusable;

/// The most memory that scrypt may take, in bytes, and the most of `N * r * p`.
const SCRYPT_MEMORY: u64 = 128 << 20;
const SCRYPT_WORK: u64 = 1 << 21;
const PBKDF2_ROUNDS: u32 = 2_000_000;
const BCRYPT_COST: u32 = 14;
const CRYPT_ROUNDS: u32 = 500_000;
const PHPASS_LOG_ROUNDS: u32 = 20;

/// Returns an error unless the number is in the range; one above it costs too much.
fn within(number: u32, range: RangeInclusive<u32>) -> Result<(), Unusable> {
    if number > *range.end() {
        Err(Unusable::TooCostly)
    } else if number < *range.start() {
        Err(Unusable::Malformed)
    } else {
        Ok(())
    }
}

impl Scrypt {
    /// Returns `N * r * p`.
    fn work(self) -> u64 {
        let n = 1_u64.checked_shl(u32::from(self.log_n)).unwrap_or(u64::MAX);
        n.saturating_mul(u64::from(self.r))
            .saturating_mul(u64::from(self.p))
    }

    fn check(self) -> Result<(), Unusable> {
        if self.log_n == 0 || self.r == 0 || self.p == 0 {
            return Err(Unusable::Malformed);
        }
        let memory = Self { p: 1, ..self }.work().saturating_mul(128);
        if self.log_n > 40 || memory > SCRYPT_MEMORY || self.work() > SCRYPT_WORK {
            return Err(Unusable::TooCostly);
        }
        Ok(())
    }
}

/// Returns about how long argon2 takes at this cost, in nanoseconds: 0.7 µs for each KiB and pass.
fn argon2_time(cost: Cost) -> u64 {
    700 * u64::from(cost.memory) * u64::from(cost.iterations)
}

impl Recipe {
    /// Checks the parameters, before anything is computed.
    ///
    /// # Errors
    /// [`Unusable::TooCostly`] above the bounds, [`Unusable::Malformed`] for what no software makes.
    pub(super) fn check(&self) -> Result<(), Unusable> {
        match *self {
            Self::Argon2(argon2) if argon2.cost.exceeds(Cost::MAX) => Err(Unusable::TooCostly),
            Self::Argon2(argon2) if !argon2.cost.is_possible() => Err(Unusable::Malformed),
            Self::Bcrypt { cost, .. } => within(cost, 4..=BCRYPT_COST),
            Self::Pbkdf2 { rounds, .. } => within(rounds, 1..=PBKDF2_ROUNDS),
            Self::Scrypt(scrypt, _) | Self::Firebase(scrypt) => scrypt.check(),
            Self::Sha256Crypt { rounds } | Self::Sha512Crypt { rounds } => {
                within(rounds, 1_000..=CRYPT_ROUNDS)
            }
            Self::Phpass { log_rounds } => within(log_rounds, 7..=PHPASS_LOG_ROUNDS),
            Self::Argon2(_) | Self::Md5Crypt | Self::Digest(..) => Ok(()),
        }
    }

    /// Returns whether it costs less than a tenth of our own hashes. Those of MD5 and of plain digests
    /// count as cheap however many rounds they have: graphics cards compute them.
    pub(super) fn is_cheap(&self, ours: Cost) -> bool {
        let rounds = |nanoseconds: u64, rounds: u32| nanoseconds * u64::from(rounds);
        // About how long it takes on the machine on which argon2 takes 0.7 µs for each KiB and pass.
        let time = match *self {
            Self::Argon2(argon2) => argon2_time(argon2.cost),
            Self::Bcrypt { cost, .. } => 63_000_u64 << cost.min(BCRYPT_COST),
            Self::Pbkdf2 { prf, rounds: n } => match prf {
                Prf::Sha1 => rounds(100, n),
                Prf::Sha256 => rounds(150, n),
                Prf::Sha512 => rounds(600, n),
            },
            Self::Scrypt(scrypt, _) | Self::Firebase(scrypt) => 330 * scrypt.work(),
            Self::Sha256Crypt { rounds: n } => rounds(200, n),
            Self::Sha512Crypt { rounds: n } => rounds(400, n),
            Self::Md5Crypt | Self::Phpass { .. } | Self::Digest(..) => return true,
        };
        time.saturating_mul(10) < argon2_time(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::super::forms::Form;
    use super::super::recipe::{Argon2, Before, Digest, Order, Scope};
    use super::*;

    const OURS: Cost = Cost {
        memory: 19_456,
        iterations: 2,
        parallelism: 1,
    };

    fn scrypt(log_n: u8, r: u32, p: u32) -> Recipe {
        Recipe::Scrypt(Scrypt { log_n, r, p }, Form::Typed)
    }

    fn bcrypt(cost: u32) -> Recipe {
        Recipe::Bcrypt {
            cost,
            letter: b'b',
            before: Before::Nothing,
        }
    }

    fn pbkdf2(rounds: u32) -> Recipe {
        let prf = Prf::Sha256;
        Recipe::Pbkdf2 { prf, rounds }
    }

    fn argon2(cost: Cost) -> Recipe {
        Recipe::Argon2(Argon2 {
            variant: argon2::Algorithm::Argon2id,
            version: argon2::Version::V0x13,
            cost,
            scope: Scope::Foreign,
        })
    }

    #[test]
    fn each_bound_holds_and_what_is_above_it_costs_too_much() {
        let crypt = |rounds| Recipe::Sha512Crypt { rounds };
        let phpass = |log_rounds| Recipe::Phpass { log_rounds };
        let memory = |memory| argon2(Cost { memory, ..OURS });
        for (good, above) in [
            (bcrypt(14), bcrypt(15)),
            (pbkdf2(2_000_000), pbkdf2(2_000_001)),
            (crypt(500_000), crypt(500_001)),
            (phpass(20), phpass(21)),
            (memory(262_144), memory(262_145)),
            // 128 MiB, and N * r * p of 2^21.
            (scrypt(17, 8, 1), scrypt(18, 8, 1)),
            (scrypt(14, 64, 1), scrypt(14, 65, 1)),
            (scrypt(14, 8, 16), scrypt(14, 8, 17)),
            (scrypt(14, 8, 16), scrypt(63, 8, 1)),
            (scrypt(14, 8, 16), scrypt(255, u32::MAX, u32::MAX)),
        ] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
            assert_eq!(above.check(), Err(Unusable::TooCostly), "{above:?}");
        }
        for none in [bcrypt(3), pbkdf2(0), crypt(999), phpass(6), memory(7)] {
            assert_eq!(none.check(), Err(Unusable::Malformed), "{none:?}");
        }
        for none in [scrypt(0, 8, 1), scrypt(14, 0, 1), scrypt(14, 8, 0)] {
            assert_eq!(none.check(), Err(Unusable::Malformed), "{none:?}");
        }
    }

    #[test]
    fn what_costs_less_than_a_tenth_of_ours_is_cheap() {
        for dear in [
            bcrypt(6),
            pbkdf2(29_000),
            scrypt(14, 16, 1),
            scrypt(14, 8, 5),
            argon2(OURS),
            Recipe::Sha512Crypt { rounds: 10_000 },
        ] {
            assert!(!dear.is_cheap(OURS), "{dear:?}");
        }
        for cheap in [
            bcrypt(5),
            pbkdf2(10_000),
            scrypt(10, 8, 1),
            argon2(Cost {
                memory: 1_024,
                ..OURS
            }),
            Recipe::Sha512Crypt { rounds: 5_000 },
            Recipe::Sha256Crypt { rounds: 5_000 },
            Recipe::Md5Crypt,
            Recipe::Phpass { log_rounds: 19 },
            Recipe::Digest(Digest::Sha512, Order::SaltFirst),
        ] {
            assert!(cheap.is_cheap(OURS), "{cheap:?}");
        }
    }
}
