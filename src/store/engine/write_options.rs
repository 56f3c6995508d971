//! How a piece of work is written, and its result.

use std::time::Duration;

use crate::store::Error;

use super::lanes::Lane;

/// The number of statements of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum TransactionShape {
    /// One statement that is complete by itself.
    Statement,
    /// Several statements that belong together.
    Steps,
}

/// How a piece of work is written.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    pub(in crate::store) shape: TransactionShape,
    pub(in crate::store) batch_delay: Duration,
    /// Whether the result waits until the commit is on the disk.
    pub(in crate::store) synced: bool,
    /// Whether requests go first (SQLite).
    pub(in crate::store) lane: Lane,
}

impl WriteOptions {
    /// A transaction whose result comes after its commit has reached the disk.
    pub const STEPS: Self = Self {
        shape: TransactionShape::Steps,
        batch_delay: Duration::ZERO,
        synced: true,
        lane: Lane::Requests,
    };

    /// The result does not wait for the disk: a power cut may lose the transaction, but only
    /// together with everything that was committed after it. For writes that no client relies on.
    pub const UNSYNCED: Self = Self {
        synced: false,
        ..Self::STEPS
    };

    /// As [`Self::UNSYNCED`], for work that no request waits for: SQLite's single writer begins it
    /// while no request waits, or together with requests once it has waited for some time.
    pub const BACKGROUND: Self = Self {
        lane: Lane::Background,
        ..Self::UNSYNCED
    };

    /// The first statement is complete by itself and usually the only one: it runs without a
    /// savepoint and, if it is alone, without a transaction. Everything after it must be inside
    /// `Conn::atomic`.
    pub const STATEMENT: Self = Self {
        shape: TransactionShape::Statement,
        ..Self::STEPS
    };

    /// Lets a transaction wait up to `batch_delay` to share a commit with others of its kind, if
    /// more of them are on their way (SQLite).
    #[must_use]
    pub const fn with_batch_delay(batch_delay: Duration) -> Self {
        Self {
            batch_delay,
            ..Self::STEPS
        }
    }
}

/// The result of a piece of work.
pub(in crate::store) struct Written<T, E> {
    /// Its value, or the reason why nothing of it was kept.
    pub outcome: std::result::Result<T, E>,
    /// The error of the database, if there was one. A refusal of the work is not one.
    pub failure: Option<Error>,
}

impl<T, E: From<Error>> Written<T, E> {
    /// Makes the result of work that the database failed and of which nothing was kept.
    pub(in crate::store) fn failed(error: Error) -> Self {
        Self {
            failure: Some(error.clone()),
            outcome: Err(error.into()),
        }
    }
}
