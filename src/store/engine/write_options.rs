//! How a piece of work is written, and what comes of it.

use std::time::Duration;

use crate::store::Error;

use super::lanes::Lane;

/// What a piece of work looks like to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum TransactionShape {
    /// One statement that is whole by itself.
    Statement,
    /// Several that belong together.
    Steps,
}

/// How a piece of work is written.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    pub(in crate::store) shape: TransactionShape,
    pub(in crate::store) batch_delay: Duration,
    /// Whether the answer waits for the disk.
    pub(in crate::store) synced: bool,
    /// Whether requests go first (SQLite).
    pub(in crate::store) lane: Lane,
}

impl WriteOptions {
    /// A transaction whose answer comes after its commit has reached the disk.
    pub const STEPS: Self = Self {
        shape: TransactionShape::Steps,
        batch_delay: Duration::ZERO,
        synced: true,
        lane: Lane::Requests,
    };

    /// The answer does not wait for the disk: a power cut may lose the transaction, but never
    /// without everything that was committed after it. For what no client was promised.
    pub const UNSYNCED: Self = Self {
        synced: false,
        ..Self::STEPS
    };

    /// As [`Self::UNSYNCED`], for work that no request waits for: SQLite's one writer begins it
    /// while no request waits, or with others once it has waited for some time.
    pub const BACKGROUND: Self = Self {
        lane: Lane::Background,
        ..Self::UNSYNCED
    };

    /// The first statement is complete by itself and usually the only one: it runs without a
    /// savepoint, and alone without a transaction. Everything after it must be inside
    /// `Conn::atomic`.
    pub const STATEMENT: Self = Self {
        shape: TransactionShape::Statement,
        ..Self::STEPS
    };

    /// While more transactions of the same kind are on their way, this one may wait up to
    /// `batch_delay` for one of them to share its commit (SQLite).
    #[must_use]
    pub const fn with_batch_delay(batch_delay: Duration) -> Self {
        Self {
            batch_delay,
            ..Self::STEPS
        }
    }
}

/// What came of a piece of work.
pub(in crate::store) struct Written<T, E> {
    /// Its answer, or why nothing of it was kept.
    pub outcome: std::result::Result<T, E>,
    /// What went wrong with the database on the way, if anything did. A refusal is not among it.
    pub failure: Option<Error>,
}

impl<T, E: From<Error>> Written<T, E> {
    /// The database failed, and nothing was kept.
    pub(in crate::store) fn failed(error: Error) -> Self {
        Self {
            failure: Some(error.clone()),
            outcome: Err(error.into()),
        }
    }
}
