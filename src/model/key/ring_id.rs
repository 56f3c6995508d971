//! Identifies a state of the key ring. The version rises with every change, but a database that was
//! restored to an earlier state (a failover, a backup) reaches the same version again with other
//! keys. The random identity distinguishes the two.

use std::fmt;
use std::str::FromStr;

use super::key::{Key, State};
use super::slots::Slots;

/// A state of the key ring. Two are the same only if both parts are equal. Neither part says which
/// of two different states is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingId {
    /// The number of changes; 0 before the first one.
    pub version: i64,
    /// A random number that every change replaces; 0 if an older program wrote the state.
    pub identity: i64,
}

/// The text does not name a state of the key ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a state of the key ring")]
pub struct InvalidRingId;

impl FromStr for RingId {
    type Err = InvalidRingId;

    fn from_str(text: &str) -> Result<Self, InvalidRingId> {
        let (version, identity) = text.split_once(':').ok_or(InvalidRingId)?;
        let number = |text: &str| text.parse().map_err(|_| InvalidRingId);
        Ok(Self {
            version: number(version)?,
            identity: number(identity)?,
        })
    }
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.version, self.identity)
    }
}

/// What a database lost when it was restored to an earlier state, as far as a process that saw the
/// later state can tell. All lists hold kids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// Keys that do not exist any more: tokens that they signed are refused from now on.
    pub missing: Vec<String>,
    /// Keys that are in an earlier state of their life again, for example active after retired.
    pub earlier: Vec<String>,
}

impl Losses {
    /// Compares the key ring that a process holds with that of the database. The row of a key is
    /// kept permanently and its state only moves forward, so any other difference means that the
    /// database was restored to an earlier state.
    pub fn between(held: &Slots, found: &Slots) -> Self {
        let mut losses = Self::default();
        for key in held.keys() {
            match found.keys().find(|k| k.kid == key.kid) {
                None => losses.missing.push(key.kid.clone()),
                Some(now) if rank(now) < rank(key) => losses.earlier.push(key.kid.clone()),
                Some(_) => {}
            }
        }
        losses
    }

    /// Returns whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.earlier.is_empty()
    }
}

fn rank(key: &Key) -> u8 {
    match key.state {
        State::Standby => 0,
        State::Active => 1,
        State::Retired => 2,
        State::Revoked | State::Removed => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::kernel::time::Timestamp;
    use crate::model::key::algorithm::Algorithm;

    fn ring(keys: &[(&str, State)]) -> Slots {
        let key = |&(kid, state): &(&str, State)| Key {
            kid: kid.into(),
            algorithm: Algorithm::EdDsa,
            state,
            published_at: Timestamp(0),
            activated_at: None,
            retired_at: None,
            ended_at: None,
            reason: None,
            max_ttl: Duration::ZERO,
        };
        Slots::new(keys.iter().map(key), &std::collections::BTreeMap::new())
    }

    #[test]
    fn a_state_of_the_ring_reads_back_from_its_text() {
        let id = RingId {
            version: 7,
            identity: -3,
        };
        assert_eq!(id.to_string(), "7:-3");
        assert_eq!("7:-3".parse(), Ok(id));
        for text in ["", "7", "7:", ":3", "a:3", "7:b", "7:3:1"] {
            assert_eq!(text.parse::<RingId>(), Err(InvalidRingId), "{text:?}");
        }
    }

    #[test]
    fn a_database_that_went_back_lacks_keys_or_has_them_in_an_earlier_state() {
        use State::{Active, Removed, Retired, Revoked, Standby};
        let losses = |held, found| {
            let Losses { missing, earlier } =
                Losses::between(&ring(&[("k", held)]), &ring(&[("k", found)]));
            assert!(missing.is_empty());
            !earlier.is_empty()
        };
        for (number, held) in [Standby, Active, Retired, Revoked].into_iter().enumerate() {
            for (other, found) in [Standby, Active, Retired, Revoked].into_iter().enumerate() {
                assert_eq!(losses(held, found), other < number, "{held:?} {found:?}");
            }
        }
        assert!(!losses(Revoked, Removed) && !losses(Removed, Revoked));

        let held = ring(&[("a", Retired), ("b", Active), ("c", Standby)]);
        let found = ring(&[("a", Active), ("c", Standby), ("d", Standby)]);
        let lost = Losses::between(&held, &found);
        let expected = Losses {
            missing: vec!["b".into()],
            earlier: vec!["a".into()],
        };
        assert_eq!(lost, expected);
        assert!(!lost.is_empty());
        let only = |missing: &[&str], earlier: &[&str]| Losses {
            missing: missing.iter().map(ToString::to_string).collect(),
            earlier: earlier.iter().map(ToString::to_string).collect(),
        };
        assert!(!only(&["b"], &[]).is_empty() && !only(&[], &["a"]).is_empty());
        assert!(Losses::between(&held, &held).is_empty());
    }
}
