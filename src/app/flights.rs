//! Work that is done once for all who wait for it at the same time, and to its end: a caller that goes
//! away does not stop it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

/// What the callers wait for; `None` if the work has panicked.
pub type Flight<V> = Shared<BoxFuture<'static, Option<V>>>;

/// The pieces of work that are under way, at most one for each key.
pub struct Flights<K, V: Clone>(Arc<Mutex<HashMap<K, Flight<V>>>>);

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Takes a piece of work off the list when it ends, however it ends.
struct Landing<K: Hash + Eq, V: Clone> {
    flights: Arc<Mutex<HashMap<K, Flight<V>>>>,
    key: K,
}

impl<K: Hash + Eq, V: Clone> Drop for Landing<K, V> {
    fn drop(&mut self) {
        locked(&self.flights).remove(&self.key);
    }
}

fn locked<K, V: Clone>(
    flights: &Mutex<HashMap<K, Flight<V>>>,
) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V> Flights<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Returns the work that is under way for this key, or begins `work`.
    pub fn join(&self, key: K, work: impl Future<Output = V> + Send + 'static) -> Flight<V> {
        let mut flights = locked(&self.0);
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let landing = Landing {
            flights: Arc::clone(&self.0),
            key: key.clone(),
        };
        // The list is locked until the work stands on it, so that it is taken off afterwards.
        let task = tokio::spawn(async move {
            let _landing = landing;
            work.await
        });
        let flight = task.map(Result::ok).boxed().shared();
        flights.insert(key, flight.clone());
        flight
    }

    /// Returns how many pieces of work are under way.
    pub fn under_way(&self) -> usize {
        locked(&self.0).len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_is_done_once_for_all_who_wait_and_again_for_who_comes_later() {
        let flights = Flights::<u8, usize>::default();
        let times = Arc::new(AtomicUsize::new(0));
        let work = |gate: oneshot::Receiver<()>| {
            let times = Arc::clone(&times);
            async move {
                gate.await.unwrap();
                times.fetch_add(1, Ordering::SeqCst) + 1
            }
        };
        let (open, gate) = oneshot::channel();
        let first = flights.join(1, work(gate));
        let second = flights.join(1, work(oneshot::channel().1));
        // Who goes away stops nothing.
        drop(first);
        open.send(()).unwrap();
        assert_eq!(second.await, Some(1));
        assert_eq!(flights.under_way(), 0);
        let (open, gate) = oneshot::channel();
        open.send(()).unwrap();
        assert_eq!(flights.join(1, work(gate)).await, Some(2));
    }

    #[tokio::test]
    async fn keys_do_not_wait_for_each_other_and_a_panic_is_no_answer() {
        let flights = Flights::<u8, u8>::default();
        let waiting = flights.join(1, std::future::pending());
        assert_eq!(flights.join(2, async { 7 }).await, Some(7));
        assert_eq!(flights.join(3, async { panic!("of the test") }).await, None);
        assert_eq!(flights.under_way(), 1);
        assert!(waiting.now_or_never().is_none());
    }
}
