//! A small pool of read-only SQLite connections. sqlx's own pool tests a connection with a round
//! trip each time it is returned, which doubles the time of a short read. Here a connection whose
//! read was cut off is not returned to the pool, and a new one is opened instead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::asked::TimeSource;
use super::conn::{Conn, Handle, Work};
use super::faults::FaultPoint;
use crate::store::{Error, Result};

/// Handle of the pool of readers.
#[derive(Clone)]
pub struct Readers(Arc<Inner>);

struct Inner {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<SqliteConnection>>,
    permits: Arc<Semaphore>,
    acquire_timeout: Duration,
    count: usize,
    clock: TimeSource,
}

impl Readers {
    pub(in crate::store) fn new(
        options: SqliteConnectOptions,
        count: u32,
        acquire_timeout: Duration,
        clock: TimeSource,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(count as usize));
        Self(Arc::new(Inner {
            options,
            idle: Mutex::default(),
            permits,
            acquire_timeout,
            count: count as usize,
            clock,
        }))
    }

    /// Returns how many connections are in use, and their maximum.
    pub(in crate::store) fn busy(&self) -> (usize, usize) {
        (
            self.0
                .count
                .saturating_sub(self.0.permits.available_permits()),
            self.0.count,
        )
    }

    pub(in crate::store) async fn run<T, E: From<Error>>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E>,
    ) -> std::result::Result<T, E> {
        let (connection, permit) = self.take().await?;
        let mut conn = Conn::sqlite(connection, self.0.clock.clone(), FaultPoint::default());
        let outcome = work(&mut conn).await;
        if let Handle::Sqlite(connection) = conn.handle {
            self.return_connection(connection, permit);
        }
        outcome
    }

    /// Takes a connection and its permit; waits for a few seconds at most.
    async fn take(&self) -> Result<(SqliteConnection, OwnedSemaphorePermit)> {
        let permit = tokio::time::timeout(
            self.0.acquire_timeout,
            Arc::clone(&self.0.permits).acquire_owned(),
        )
        .await;
        let permit = permit.map_err(|_| Error::Unavailable("every reader is busy".into()))?;
        let permit = permit.map_err(|_| Error::Unavailable("the database is closed".into()))?;
        let idle = self.lock().pop();
        match idle {
            Some(connection) => Ok((connection, permit)),
            None => Ok((self.0.options.connect().await?, permit)),
        }
    }

    /// Returns a connection after a complete read.
    fn return_connection(&self, connection: SqliteConnection, permit: OwnedSemaphorePermit) {
        self.lock().push(connection);
        drop(permit);
    }

    pub(in crate::store) async fn close(&self) {
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.lock());
        for connection in idle {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "a reader did not close cleanly");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
