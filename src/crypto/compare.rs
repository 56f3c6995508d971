//! Compares a password with what is stored for it: a hash of our own, one of other software, or nothing,
//! which costs as much as something.

use argon2::Block;

use crate::model::account::password::Password;

use super::argon2id::{self, Cost, Error, SALT, argon2id};
use super::foreign::{self, ForeignHash, Pepper, Renewal};

/// The outcome of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password does not match.
    Wrong,
    /// The password matches, and the stored hash is to be renewed so.
    Right(Renewal),
}

/// What a password is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// The stored hash.
    Stored(String),
    /// No hash: the outcome is [`Verdict::Wrong`] after the work that this text asks for, or after that of
    /// a hash of our own.
    Absent(Option<String>),
}

/// What hashes are measured by, and the pepper of the settings.
#[derive(Clone)]
pub(super) struct Measure {
    pub(super) wanted: Cost,
    pub(super) pepper: Option<Pepper>,
}

/// Compares a password with what is stored, or with nothing.
pub(super) fn compare(
    password: &Password,
    against: &Against,
    measure: &Measure,
    memory: &mut Vec<Block>,
) -> Result<Verdict, Error> {
    let decoy = match against {
        Against::Stored(text) => return verify(password, text, measure, memory),
        Against::Absent(decoy) => decoy,
    };
    let worked = decoy
        .as_ref()
        .is_some_and(|decoy| verify(password, decoy, measure, memory).is_ok());
    if !worked {
        argon2id(password.expose(), &[0; SALT], measure.wanted, memory);
    }
    Ok(Verdict::Wrong)
}

fn verify(
    password: &Password,
    stored: &str,
    measure: &Measure,
    memory: &mut Vec<Block>,
) -> Result<Verdict, Error> {
    let wanted = measure.wanted;
    let right = if stored.starts_with("$argon2id$") {
        let outdated = argon2id::verify(password, stored, wanted, memory)?;
        outdated.map(|outdated| {
            if outdated {
                Renewal::Whole
            } else {
                Renewal::None
            }
        })
    } else {
        let hash = ForeignHash::parse(stored).map_err(|_| Error::Unreadable)?;
        let pepper = measure.pepper.as_ref();
        foreign::verify(&hash, password, wanted, pepper, memory).map_err(|_| Error::Pepper)?
    };
    Ok(right.map_or(Verdict::Wrong, Verdict::Right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::password::Length;

    /// argon2 leaves its blocks as the password, the salt and the cost have filled them.
    #[test]
    fn without_a_stored_hash_the_same_work_is_done() {
        let (mut pretended, mut worked) = (Vec::new(), Vec::new());
        let cost = Cost {
            memory: 64,
            iterations: 2,
            parallelism: 1,
        };
        let measure = Measure {
            wanted: cost,
            pepper: None,
        };
        let length = Length { min: 8, max: 128 };
        let attempt = Password::attempt("correct horse", length).unwrap();
        assert_eq!(
            compare(&attempt, &Against::Absent(None), &measure, &mut pretended),
            Ok(Verdict::Wrong)
        );
        argon2id(attempt.expose(), &[0; SALT], cost, &mut worked).unwrap();
        let words = |blocks: &[Block]| -> Vec<u64> {
            blocks
                .iter()
                .flat_map(|block| block.as_ref().to_vec())
                .collect()
        };
        assert!(!worked.is_empty() && words(&pretended) == words(&worked));
    }
}
