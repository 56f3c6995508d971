//! The life of signing keys: standby → active → retired → removed, and revoked at any time.
//!
//! Promise: no verifier ever meets a token whose key it could not have fetched before. `plan` is
//! pure: the schedule, the command line and start-up use the same function, so they cannot differ.
//! `crypto` holds key material, `flows::key::change_keys` applies a plan.

use std::time::Duration;

use croner::Cron;

use super::algorithm::Algorithm;
use crate::model::kernel::time::Timestamp;

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Signs tokens; exactly one key of an algorithm.
    Active,
    /// Is published and will sign next.
    Standby,
    /// Is published until its last token has expired.
    Retired,
    /// Was removed from the JWKS at once; only a tombstone is kept.
    Revoked,
    /// Left the JWKS after its time; only a tombstone is kept, so that its kid cannot be used
    /// again.
    Removed,
}

impl State {
    /// Returns the name that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
            Self::Removed => "removed",
        }
    }

    /// Parses a stored name; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Active,
            Self::Standby,
            Self::Retired,
            Self::Revoked,
            Self::Removed,
        ]
        .into_iter()
        .find(|s| s.as_str() == text)
    }

    /// Returns whether the JWKS contains the key.
    pub fn is_published(self) -> bool {
        match self {
            Self::Active | Self::Standby | Self::Retired => true,
            Self::Revoked | Self::Removed => false,
        }
    }
}

/// The public part of a key's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The id of the key: its thumbprint, or the kid that an imported key had elsewhere.
    pub kid: String,
    /// The algorithm that it signs by; one for each key.
    pub algorithm: Algorithm,
    /// The state of the key.
    pub state: State,
    /// When it entered the JWKS.
    pub published_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When it stopped signing.
    pub retired_at: Option<Timestamp>,
    /// When it was revoked or removed.
    pub ended_at: Option<Timestamp>,
    /// Why it was revoked.
    pub reason: Option<String>,
    /// The longest lifetime of an access token that it ever signed.
    pub max_ttl: Duration,
}

/// The keys of one algorithm, and the bounds that are stored with them.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    /// Published keys and tombstones.
    pub keys: Vec<Key>,
    /// When the second rotation after an emergency is due.
    pub rotate_after: Option<Timestamp>,
    /// The largest verifier cache of the settings so far.
    pub verifier_cache: Duration,
}

/// The settings of an operator for one algorithm, and the inputs of the two inequalities.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The times of scheduled rotations, in UTC.
    pub rotation: Cron,
    /// `max-age` of the JWKS.
    pub jwks_max_age: Duration,
    /// The longest time that a verifier caches the JWKS.
    pub verifier_cache: Duration,
    /// The longest lifetime of access tokens that are signed now.
    pub access_ttl: Duration,
}

/// The time until every replica serves a change.
pub const PROPAGATION: Duration = Duration::from_secs(10);
const FETCH: Duration = Duration::from_secs(5);
const SKEW: Duration = Duration::from_secs(5);
const SIGNER_LAG: Duration = Duration::from_secs(10);

impl Policy {
    /// Returns Λ, the shortest time for which a key is published before it signs.
    pub fn publish_before_use(&self, ring: &Ring) -> Duration {
        PROPAGATION + self.jwks_max_age + self.verifier_cache.max(ring.verifier_cache) + FETCH
    }

    /// Returns R, the shortest time for which a key stays published after it last signed.
    pub fn keep_after_use(key: &Key) -> Duration {
        key.max_ttl + key.algorithm.leeway() + SKEW + SIGNER_LAG
    }

    fn next_after(&self, then: Timestamp) -> Option<Timestamp> {
        // The cron library keeps fractions of a second, so they are cut off before.
        let whole = Timestamp(then.seconds() * 1000);
        let next = self
            .rotation
            .find_next_occurrence(&whole.to_utc()?, false)
            .ok()?;
        Some(Timestamp(next.timestamp_millis()))
    }
}

impl Key {
    /// Returns when a retired key leaves the JWKS; `None` in other states.
    pub fn leaves_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Retired => self.retired_at.map(|at| at + Policy::keep_after_use(self)),
            State::Active | State::Standby | State::Revoked | State::Removed => None,
        }
    }
}

impl Ring {
    /// Returns a key in this state, if there is one.
    pub fn in_state(&self, state: State) -> Option<&Key> {
        self.keys.iter().find(|k| k.state == state)
    }

    /// Returns when verifiers have the standby key for certain, so that it may sign.
    pub fn ripe_at(&self, policy: &Policy) -> Option<Timestamp> {
        let standby = self.in_state(State::Standby)?;
        Some(standby.published_at + policy.publish_before_use(self))
    }

    /// Returns when the standby key replaces the active one: the scheduled time, or the second
    /// rotation after an emergency, but not before Λ.
    pub fn next_rotation(&self, policy: &Policy) -> Option<Timestamp> {
        let scheduled = self
            .in_state(State::Active)
            .and_then(|k| k.activated_at)
            .and_then(|at| policy.next_after(at));
        let due = match (scheduled, self.rotate_after) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }?;
        Some(due.max(self.ripe_at(policy)?))
    }
}
