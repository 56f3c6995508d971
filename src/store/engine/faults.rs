//! A hook with which a test makes one statement of a write fail, to show that nothing of its
//! transaction is kept. A running service never arms it; then it costs each statement one relaxed
//! load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// A hook that all connections of a database share.
#[derive(Debug, Clone, Default)]
pub struct FaultPoint(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    armed: AtomicBool,
    plan: Mutex<Option<Plan>>,
}

#[derive(Debug)]
struct Plan {
    /// The number of statements that still succeed.
    before: u32,
    reached: oneshot::Sender<oneshot::Sender<()>>,
}

impl FaultPoint {
    /// Makes one statement of a write fail: the one after `before` others, counted from now over
    /// all transactions. The receiver gets a sender when that statement is reached; the statement
    /// fails when the sender is used or dropped, so that the test can look at the database
    /// meanwhile. Statements of reads, and those that begin and end transactions, are not counted.
    pub fn arm(&self, before: u32) -> oneshot::Receiver<oneshot::Sender<()>> {
        let (reached, receiver) = oneshot::channel();
        *self.plan() = Some(Plan { before, reached });
        self.0.armed.store(true, Ordering::Relaxed);
        receiver
    }

    /// Disarms the hook: no further statement fails.
    pub fn disarm(&self) {
        self.0.armed.store(false, Ordering::Relaxed);
        *self.plan() = None;
    }

    /// Counts a statement; returns the fault if this statement is to fail.
    pub(in crate::store) fn next(&self) -> Option<Fault> {
        if !self.0.armed.load(Ordering::Relaxed) {
            return None;
        }
        let mut plan = self.plan();
        let next = plan.as_mut()?;
        if let Some(before) = next.before.checked_sub(1) {
            next.before = before;
            return None;
        }
        self.0.armed.store(false, Ordering::Relaxed);
        plan.take().map(|plan| Fault(plan.reached))
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Option<Plan>> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fault of a statement that is to fail.
pub(in crate::store) struct Fault(oneshot::Sender<oneshot::Sender<()>>);

impl Fault {
    /// Waits until the test has looked at the database, and returns the statement's error.
    pub(in crate::store) async fn strike(self) -> sqlx::Error {
        let (go_on, waits) = oneshot::channel();
        if self.0.send(go_on).is_ok() {
            drop(waits.await);
        }
        sqlx::Error::WorkerCrashed
    }
}
