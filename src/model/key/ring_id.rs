//! Which state of the key ring somebody means. The version rises with every change, but a database
//! that went back (a failover, a restore) reaches the same version again with other keys: the
//! random identity tells the two apart.

use std::fmt;
use std::str::FromStr;

use super::key::{Key, Ring, State};

/// A state of the ring. Two are the same only if both parts are; neither says which of two
/// different states is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingId {
    /// Rises with every change; 0 before the first.
    pub version: i64,
    /// Random, another one with every change; 0 where a program wrote it that knows no identity.
    pub identity: i64,
}

/// The text is no state of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no state of the key ring")]
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

/// What a database that went back has lost, as far as a process that saw the later state can tell.
/// All lists hold kids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// Keys that are not there any more: what they signed is refused from now on.
    pub missing: Vec<String>,
    /// Keys that are in an earlier state of their life again, such as active after retired.
    pub earlier: Vec<String>,
}

impl Losses {
    /// Compares the ring that a process holds with the one that the database has. A key's row stays
    /// for ever and its state only moves forward, so anything else means that the database went
    /// back.
    pub fn between(held: &Ring, found: &Ring) -> Self {
        let mut losses = Self::default();
        for key in &held.keys {
            match found.keys.iter().find(|k| k.kid == key.kid) {
                None => losses.missing.push(key.kid.clone()),
                Some(now) if rank(now) < rank(key) => losses.earlier.push(key.kid.clone()),
                Some(_) => {}
            }
        }
        losses
    }

    /// Whether nothing was lost.
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
