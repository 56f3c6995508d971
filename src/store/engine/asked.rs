//! When a piece of work was requested, and whether its caller still waits. Work that has waited too
//! long is not begun: its caller has given up, and a decision about an old request would be made
//! for a client that does not receive the answer. Also holds the clock that every connection reads.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, SystemClock};
use crate::model::kernel::time::Timestamp;

use crate::store::Error;

/// The longest time that a piece of work may wait before it is begun: the time that a client waits
/// for an answer.
pub const MAX_WAIT: Duration = Duration::from_secs(5);

/// The clock that the database's connections read; the system clock by default.
#[derive(Clone)]
pub struct TimeSource(Arc<dyn Clock>);

impl TimeSource {
    /// Returns the current time.
    pub(in crate::store) fn now(&self) -> Timestamp {
        Timestamp(self.0.now_ms())
    }
}

impl Default for TimeSource {
    fn default() -> Self {
        Self(Arc::new(SystemClock))
    }
}

impl From<Arc<dyn Clock>> for TimeSource {
    fn from(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }
}

impl std::fmt::Debug for TimeSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TimeSource")
    }
}

/// Held by the future that waits for the outcome. Work is not begun after it was dropped.
pub(in crate::store) struct Caller(#[expect(dead_code, reason = "its end is what counts")] Arc<()>);

/// Records when a piece of work was requested and whether its caller still waits.
pub(in crate::store) struct Asked {
    clock: TimeSource,
    at: Timestamp,
    /// Monotonic, so it is not affected when the wall clock is set back.
    since: Instant,
    caller: Weak<()>,
}

impl Asked {
    /// Records a piece of work that is requested now.
    pub(in crate::store) fn now(clock: &TimeSource) -> (Caller, Self) {
        let caller = Arc::new(());
        let asked = Self {
            clock: clock.clone(),
            at: clock.now(),
            since: Instant::now(),
            caller: Arc::downgrade(&caller),
        };
        (Caller(caller), asked)
    }

    /// Returns how long ago the work was requested.
    pub(super) fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns whether the work should still be begun.
    pub(in crate::store) fn is_wanted(&self) -> bool {
        let waited = self.clock.now().since(self.at).max(self.waited());
        waited <= MAX_WAIT && self.caller.strong_count() > 0
    }
}

/// Returns the error for work that was not begun.
pub(in crate::store) fn not_begun() -> Error {
    Error::Unavailable("the write waited too long and was not begun".into())
}
