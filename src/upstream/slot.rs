//! A value that is fetched and kept: many who wait share one fetch, and the last good value serves on
//! when a fetch fails.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::failure::Failure;
use crate::clock::Clock;

/// The shortest and the longest time for which a value is kept, whatever its source says.
const SHORTEST: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// For how long a value is kept whose source does not say it.
const UNSAID: Duration = Duration::from_secs(3_600);
/// When a failed fetch is due again.
const AGAIN: Duration = Duration::from_secs(60);
/// For how long a failure answers requests that need the value, so that they do not wait one after the
/// other for a provider that is away.
const REST: Duration = Duration::from_secs(5);

/// A fetched value, and how many seconds it may be kept by its source.
pub(super) type Fetched<T> = (T, Option<u64>);

/// A kept value.
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    /// Held while one fetches for all.
    turn: tokio::sync::Mutex<()>,
}

struct State<T> {
    value: Option<Arc<T>>,
    /// By the uptime of the clock.
    due_at: Duration,
    /// How often it was fetched, with or without success.
    fetches: u64,
    failure: Option<Failure>,
    /// Until when the failure answers, by the uptime of the clock.
    rests_until: Duration,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        let state = State {
            value: None,
            due_at: Duration::ZERO,
            fetches: 0,
            failure: None,
            rests_until: Duration::ZERO,
        };
        Self {
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

impl<T> Slot<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the last good value.
    pub(super) fn value(&self) -> Option<Arc<T>> {
        self.state().value.clone()
    }

    /// Returns whether it is time to fetch the value again.
    pub(super) fn is_due(&self, clock: &dyn Clock) -> bool {
        clock.uptime() >= self.state().due_at
    }

    /// Returns the last good value, or fetches it; a failure of the last seconds answers without a fetch.
    ///
    /// # Errors
    /// Why the last fetch failed, if there is no good value.
    pub(super) async fn get(
        &self,
        clock: &dyn Clock,
        fetching: impl Future<Output = Result<Fetched<T>, Failure>>,
    ) -> Result<Arc<T>, Failure> {
        if let Some(answer) = self.state().known(clock.uptime()) {
            return answer;
        }
        self.fetch(clock, fetching).await
    }

    /// Fetches the value, unless another caller did so while this one waited for its turn.
    ///
    /// # Errors
    /// Why the last fetch failed; an older value is kept all the same.
    pub(super) async fn fetch(
        &self,
        clock: &dyn Clock,
        fetching: impl Future<Output = Result<Fetched<T>, Failure>>,
    ) -> Result<Arc<T>, Failure> {
        let before = self.state().fetches;
        let _turn = self.turn.lock().await;
        if self.state().fetches != before {
            return self.state().outcome();
        }
        let fetched = fetching.await;
        let mut state = self.state();
        state.fetches += 1;
        match fetched {
            Ok((value, seconds)) => {
                let keep = seconds.map_or(UNSAID, Duration::from_secs);
                state.due_at = clock.uptime() + keep.clamp(SHORTEST, LONGEST);
                state.value = Some(Arc::new(value));
                state.failure = None;
            }
            Err(failure) => {
                state.due_at = clock.uptime() + AGAIN;
                state.rests_until = clock.uptime() + REST;
                state.failure = Some(failure);
            }
        }
        state.outcome()
    }
}

impl<T> State<T> {
    /// Returns the good value, or the failure while it rests; `None` if it is time to fetch.
    fn known(&self, uptime: Duration) -> Option<Result<Arc<T>, Failure>> {
        match (&self.value, &self.failure) {
            (Some(value), _) => Some(Ok(Arc::clone(value))),
            (None, Some(failure)) if uptime < self.rests_until => Some(Err(failure.clone())),
            (None, _) => None,
        }
    }

    fn outcome(&self) -> Result<Arc<T>, Failure> {
        match (&self.failure, &self.value) {
            (Some(failure), _) => Err(failure.clone()),
            (None, Some(value)) => Ok(Arc::clone(value)),
            (None, None) => Err(Failure::Unavailable("it was not asked yet".into())),
        }
    }
}
