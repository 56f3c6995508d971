//! Checkpoints of SQLite's write-ahead log during background work on many rows, besides
//! [`WriteOptions::BACKGROUND`](crate::store::WriteOptions::BACKGROUND). A checkpoint copies the
//! log into the database file. By itself the writer makes one once the log holds 64 MiB, and all
//! writes wait for the disk meanwhile. Background work fills the log within seconds, so checkpoints
//! are made on a connection of their own, in small steps, while the writer goes on; little is left
//! for the writer.

use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;

use crate::store::{Db, Result};

/// Handle of the connection for checkpoints, which is opened when it is first needed.
#[derive(Clone)]
pub struct Checkpoints(Arc<Inner>);

struct Inner {
    options: SqliteConnectOptions,
    connection: Mutex<Option<SqliteConnection>>,
}

impl Checkpoints {
    pub(in crate::store) fn new(options: SqliteConnectOptions) -> Self {
        Self(Arc::new(Inner {
            options,
            connection: Mutex::default(),
        }))
    }

    /// Makes a checkpoint of the part of the log that no reader needs. Waits only for the disk; no
    /// reader or writer waits for it.
    pub(in crate::store) async fn run(&self) -> Result<()> {
        let mut slot = self.0.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.0.options.connect().await?,
        };
        let (_busy, _in_log, _carried): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)")
                .fetch_one(&mut connection)
                .await?;
        // A connection that failed, or whose caller was cancelled, is not kept.
        *slot = Some(connection);
        Ok(())
    }

    /// Makes a checkpoint and empties the log, in which deleted rows can still be read. Gives up at
    /// once if a reader or the writer is in the way; returns whether the log is empty.
    async fn empty(&self) -> Result<bool> {
        // Of its own, because it must not wait: while it waits for a reader, the writer waits for it.
        let options = self.0.options.clone().busy_timeout(Duration::ZERO);
        let mut connection = options.connect().await?;
        let (busy, _in_log, _carried): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
                .fetch_one(&mut connection)
                .await?;
        connection.close().await?;
        Ok(busy == 0)
    }

    pub(in crate::store) async fn close(&self) {
        if let Some(connection) = self.0.connection.lock().await.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the connection for checkpoints did not close cleanly");
        }
    }
}

impl Db {
    /// Copies SQLite's write-ahead log into the database file, beside the writer. Does nothing on
    /// Postgres, which does this by itself.
    pub async fn checkpoint(&self) -> Result<()> {
        match self {
            Self::Sqlite { checkpoints, .. } => checkpoints.run().await,
            Self::Postgres { .. } => Ok(()),
        }
    }

    /// Empties SQLite's write-ahead log after a checkpoint beside the writer, so that what was
    /// deleted leaves the disk. Returns `false` if a reader was in the way; the next attempt may
    /// succeed. Does nothing on Postgres.
    pub async fn empty_log(&self) -> Result<bool> {
        match self {
            Self::Sqlite { checkpoints, .. } => {
                checkpoints.run().await?;
                checkpoints.empty().await
            }
            Self::Postgres { .. } => Ok(true),
        }
    }
}
