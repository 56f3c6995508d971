//! Who asked for a piece of work, and when. Work that has waited too long is not begun: its caller
//! has gone or has given up, and a decision about a request of long ago would be made for a client
//! that does not hear the answer. Also holds the clock that every connection reads.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, SystemClock};
use crate::model::kernel::time::Timestamp;

use crate::store::Error;

/// The longest time that a piece of work may wait before it is begun: as long as a client waits for
/// an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The clock that the database's connections read; the system's by default.
#[derive(Clone)]
pub struct TimeSource(Arc<dyn Clock>);

impl TimeSource {
    /// The time at this moment.
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

/// Held by the future that waits for the outcome: work whose caller was dropped is not begun.
pub(in crate::store) struct Caller(#[expect(dead_code, reason = "its end is what counts")] Arc<()>);

/// When a piece of work was asked for, and by whom.
pub(in crate::store) struct Asked {
    clock: TimeSource,
    at: Timestamp,
    /// Runs on when the wall clock is set back.
    since: Instant,
    caller: Weak<()>,
}

impl Asked {
    /// For work that is asked for now.
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

    /// How long ago that was.
    pub(super) fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether the work should still be begun.
    pub(in crate::store) fn is_wanted(&self) -> bool {
        let waited = self.clock.now().since(self.at).max(self.waited());
        waited <= PATIENCE && self.caller.strong_count() > 0
    }
}

/// What the caller hears if the work was not begun.
pub(in crate::store) fn not_begun() -> Error {
    Error::Unavailable("the write waited too long and was not begun".into())
}
