//! The source of time. Owns the only calls to the system's clocks; all other code is given a
//! `Clock` (through `App::now` and `App::uptime`), so that a test can move the time by a year in
//! one line. The wall clock decides what is due and what is stored; intervals and ages inside one
//! process use the uptime, which does not change when the wall clock is set. `model::kernel::time`
//! does arithmetic and formatting.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Returns Unix time in milliseconds by the wall clock, which can be set forwards and
    /// backwards.
    fn now_ms(&self) -> i64;

    /// Returns the time since a fixed moment in the past of this process, by a monotonic clock.
    /// Only differences between two readings have a meaning.
    fn uptime(&self) -> Duration;
}

/// The clocks of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for the time"
    )]
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }

    fn uptime(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// The machine's clock, moved by an offset: `countersign dev` lets a test do that.
#[derive(Debug, Default)]
pub struct MovableClock(AtomicI64);

impl MovableClock {
    /// Moves the clock by this many milliseconds, backwards if negative.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now_ms(&self) -> i64 {
        SystemClock
            .now_ms()
            .saturating_add(self.0.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        SystemClock.uptime()
    }
}

/// A clock for tests that stands still until it is moved.
#[derive(Debug)]
pub struct TestClock {
    wall_ms: AtomicI64,
    uptime_ms: AtomicU64,
}

impl TestClock {
    /// Starts at the given Unix time in milliseconds.
    pub fn at(ms: i64) -> Self {
        Self {
            wall_ms: AtomicI64::new(ms),
            uptime_ms: AtomicU64::new(0),
        }
    }

    /// Lets this many milliseconds pass, on both clocks. A negative number sets the wall clock back
    /// and leaves the uptime as it is.
    pub fn advance_ms(&self, ms: i64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        self.uptime_ms
            .fetch_add(u64::try_from(ms).unwrap_or(0), Ordering::SeqCst);
    }

    /// Sets the wall clock forwards or backwards by this many milliseconds; the uptime stays.
    pub fn set_ms(&self, by: i64) {
        self.wall_ms.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.uptime_ms.load(Ordering::SeqCst))
    }
}
