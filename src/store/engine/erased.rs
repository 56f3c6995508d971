//! Work without the type of its result. The engine runs every piece of work through one type, so that
//! pools, retries and group commit are compiled once and not again for each piece: the binary is an
//! eighth smaller.

use std::sync::{Arc, Mutex, PoisonError};

use super::conn::{Conn, Work};
use crate::store::Error;

type Outcome<T, E> = std::result::Result<T, E>;

/// Why erased work was not kept.
#[derive(Debug)]
pub(super) enum Stop {
    /// The work returned an `Err`, which is in the slot.
    Refused,
    /// The engine could not run or commit it.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Starts an attempt at a piece of work.
type Attempt = dyn for<'c> Fn(&'c mut Conn) -> Work<'c, (), Stop> + Send + Sync;

/// A piece of work that puts its result into a slot.
#[derive(Clone)]
pub(super) struct Erased(Arc<Attempt>);

impl Erased {
    /// Starts one attempt at the work.
    pub(super) fn attempt<'c>(&self, conn: &'c mut Conn) -> Work<'c, (), Stop> {
        (self.0)(conn)
    }
}

/// The result of the last attempt at a piece of work.
pub(super) struct Slot<T, E>(Arc<Mutex<Option<Outcome<T, E>>>>);

impl<T, E: From<Error>> Slot<T, E> {
    /// Returns the result of work that the engine has run to this end.
    pub(super) fn outcome(self, ran: Outcome<(), Stop>) -> Outcome<T, E> {
        match ran {
            Err(Stop::Failed(error)) => Err(error.into()),
            Ok(()) | Err(Stop::Refused) => {
                let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
                last.unwrap_or_else(|| {
                    Err(Error::Unavailable("the work left no result".into()).into())
                })
            }
        }
    }
}

/// Takes the result type from a piece of work. Each attempt runs a clone of it.
pub(super) fn erase<T, E, F>(work: F) -> (Erased, Slot<T, E>)
where
    T: Send + 'static,
    E: Send + 'static,
    F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E> + Clone + Send + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    let (work, results) = (Mutex::new(work), Arc::clone(&slot));
    let erased = Erased(Arc::new(move |conn| {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let results = Arc::clone(&results);
        Box::pin(async move {
            let outcome = work(conn).await;
            let kept = outcome.as_ref().map(|_| ()).map_err(|_| Stop::Refused);
            *results.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            kept
        })
    }));
    (erased, Slot(slot))
}
