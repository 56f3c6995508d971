//! The life of signing keys: standby → active → retired → gone, and revoked at any time.
//!
//! Promise: no verifier ever meets a token whose key it could not already have. `plan` is pure: the
//! schedule, the command line and start-up ask it the same question, so they cannot differ. Key
//! material is `crypto`'s, applying a plan is `flows::rotate_keys`'s.

use std::time::Duration;

use croner::Cron;

use crate::model::kernel::time::Timestamp;

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Signs; exactly one per algorithm.
    Active,
    /// Published, will sign next.
    Standby,
    /// Published until its last token is dead.
    Retired,
    /// Out of the JWKS at once; only a tombstone is kept.
    Revoked,
    /// Out of the JWKS after its time; only a tombstone is kept, so that its kid never returns.
    Removed,
}

impl State {
    /// As stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
            Self::Removed => "removed",
        }
    }

    /// As stored; `None` for any other text.
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

    /// Whether verifiers find the key in the JWKS.
    pub fn is_published(self) -> bool {
        match self {
            Self::Active | Self::Standby | Self::Retired => true,
            Self::Revoked | Self::Removed => false,
        }
    }
}

/// The public half of a key's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// RFC 7638 SHA-256 thumbprint of the public JWK.
    pub kid: String,
    /// Always `EdDSA` today; one algorithm per key.
    pub algorithm: String,
    /// Where it is in its life.
    pub state: State,
    /// When it entered the JWKS.
    pub published_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When it stopped.
    pub retired_at: Option<Timestamp>,
    /// When it was revoked or removed.
    pub ended_at: Option<Timestamp>,
    /// Why it was revoked.
    pub reason: Option<String>,
    /// The longest access TTL it ever signed with.
    pub max_ttl: Duration,
}

/// All keys, and what the ring remembers beside them.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    /// Published keys and tombstones.
    pub keys: Vec<Key>,
    /// The second rotation of an emergency is due then.
    pub rotate_after: Option<Timestamp>,
    /// The largest `keys.verifier_cache` ever seen.
    pub verifier_cache: Duration,
}

/// What an operator may set, and the constants of the two inequalities.
#[derive(Debug, Clone)]
pub struct Policy {
    /// When a rotation falls due, UTC.
    pub rotation: Cron,
    /// `max-age` of the JWKS.
    pub jwks_max_age: Duration,
    /// The longest cache among the verifiers.
    pub verifier_cache: Duration,
    /// The longest access TTL that is signed now.
    pub access_ttl: Duration,
}

/// Until every replica serves a change.
pub const PROPAGATION: Duration = Duration::from_secs(10);
const FETCH: Duration = Duration::from_secs(5);
const LEEWAY: Duration = Duration::from_secs(60);
const SKEW: Duration = Duration::from_secs(5);
const SIGNER_LAG: Duration = Duration::from_secs(10);

impl Policy {
    /// Λ: a key is published at least so long before it signs.
    pub fn publish_before_use(&self, ring: &Ring) -> Duration {
        PROPAGATION + self.jwks_max_age + self.verifier_cache.max(ring.verifier_cache) + FETCH
    }

    /// R: a key stays published at least so long after it signed last.
    pub fn keep_after_use(key: &Key) -> Duration {
        key.max_ttl + LEEWAY + SKEW + SIGNER_LAG
    }

    fn next_after(&self, then: Timestamp) -> Option<Timestamp> {
        // The library keeps the digits below a second that it is given.
        let whole = Timestamp(then.seconds() * 1000);
        let next = self
            .rotation
            .find_next_occurrence(&whole.to_utc()?, false)
            .ok()?;
        Some(Timestamp(next.timestamp_millis()))
    }
}

impl Key {
    /// When a retired key leaves the JWKS.
    pub fn leaves_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Retired => self.retired_at.map(|at| at + Policy::keep_after_use(self)),
            State::Active | State::Standby | State::Revoked | State::Removed => None,
        }
    }
}

impl Ring {
    /// The key in this state, if there is one.
    pub fn in_state(&self, state: State) -> Option<&Key> {
        self.keys.iter().find(|k| k.state == state)
    }

    /// When the active key gives way to the standby: the scheduled time, or the second rotation of
    /// an emergency, but not before Λ.
    pub fn next_rotation(&self, policy: &Policy) -> Option<Timestamp> {
        let scheduled = self
            .in_state(State::Active)
            .and_then(|k| k.activated_at)
            .and_then(|at| policy.next_after(at));
        let due = match (scheduled, self.rotate_after) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }?;
        let ripe = self.in_state(State::Standby)?.published_at + policy.publish_before_use(self);
        Some(due.max(ripe))
    }
}
