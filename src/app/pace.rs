//! Rate limits within one process: in memory, measured by the uptime, so that setting the wall
//! clock changes nothing.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::model::limit::rate;

struct LimitClock(Arc<dyn Clock>);

impl Clone for LimitClock {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl governor::clock::Clock for LimitClock {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::from(self.0.uptime())
    }
}

/// A rate limit for each key, kept in the memory of this process on the injected clock.
pub struct Pace<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, LimitClock, NoOpMiddleware<Nanos>>,
    clock: LimitClock,
}

impl<K: Hash + Eq + Clone> Pace<K> {
    pub(super) fn new(pace: Quota, clock: Arc<dyn Clock>) -> Self {
        let clock = LimitClock(clock);
        Self {
            limiter: RateLimiter::new(pace, DashMapStateStore::default(), clock.clone()),
            clock,
        }
    }

    /// Counts one action of the key. Returns `Err` with the time to wait if it is over the limit.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        use governor::clock::Clock as _;
        self.limiter
            .check_key(key)
            .map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Forgets keys that have their whole burst available again.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// Returns the limit for one refresh token: a burst of 100, then 20 a minute.
pub(super) fn presented_pace() -> Quota {
    const BURST: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
    const PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
    Quota::per_minute(PER_MINUTE).allow_burst(BURST)
}

/// Returns the limit of the estimates of passwords for one network: a burst of 120, which is the
/// typing of a few people, then 120 a minute.
pub(super) fn strength_pace() -> Quota {
    const PER_MINUTE: NonZeroU32 = NonZeroU32::new(120).expect("not zero");
    Quota::per_minute(PER_MINUTE)
}

/// Returns the limit for the tokens of one account at another issuer: a burst of 10 renewals, then 6 a
/// minute. The issuer counts them for all users together.
pub(super) fn renewal_pace() -> Quota {
    const BURST: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
    const PER_MINUTE: NonZeroU32 = NonZeroU32::new(6).expect("not zero");
    Quota::per_minute(PER_MINUTE).allow_burst(BURST)
}

/// Converts a limit of the settings: a burst whose units return one by one.
pub(super) fn pace(quota: rate::Quota) -> Option<Quota> {
    let burst = NonZeroU32::new(quota.count)?;
    Some(Quota::with_period(quota.period / quota.count)?.allow_burst(burst))
}
