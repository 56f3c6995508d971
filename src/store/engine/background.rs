//! What background work on many rows asks of the database besides
//! [`WriteOptions::BACKGROUND`](crate::store::WriteOptions::BACKGROUND): to have SQLite's write-ahead log carried over into the database file on a connection of its
//! own. By itself the writer carries it over once it holds 64 MiB, and all writes wait meanwhile,
//! for as long as the disk takes. Background work fills the log within seconds, so it has it carried
//! over in small steps, while the writer goes on; what the writer still finds is little.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;

use crate::store::{Db, Result};

/// Handle of the connection, which is opened when it is first needed.
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

    /// Carries over what no reader still needs in the log. Waits for nothing but the disk, and no
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
        // One that failed, or whose caller has gone in the middle, is not kept.
        *slot = Some(connection);
        Ok(())
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
    /// Carries what SQLite's write-ahead log holds over into the database file, beside the writer.
    /// Postgres does that by itself.
    pub async fn checkpoint(&self) -> Result<()> {
        match self {
            Self::Sqlite { checkpoints, .. } => checkpoints.run().await,
            Self::Postgres { .. } => Ok(()),
        }
    }
}
