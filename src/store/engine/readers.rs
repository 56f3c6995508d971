//! Read-only SQLite connections, a few, handed out and taken back. sqlx's own pool tests a
//! connection with a round trip each time it comes back, which doubles a short read; here a
//! connection whose read was cut off is simply not taken back, and the next one is opened anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::asked::TimeSource;
use super::conn::{Conn, Handle, Work};
use super::faults::FaultPoint;
use crate::store::{Error, Result};

/// Handle of the readers.
#[derive(Clone)]
pub struct Readers(Arc<Inner>);

struct Inner {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<SqliteConnection>>,
    places: Arc<Semaphore>,
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
        let places = Arc::new(Semaphore::new(count as usize));
        Self(Arc::new(Inner {
            options,
            idle: Mutex::default(),
            places,
            acquire_timeout,
            count: count as usize,
            clock,
        }))
    }

    /// How many are at work, of how many.
    pub(in crate::store) fn busy(&self) -> (usize, usize) {
        (
            self.0
                .count
                .saturating_sub(self.0.places.available_permits()),
            self.0.count,
        )
    }

    pub(in crate::store) async fn run<T, E: From<Error>>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E>,
    ) -> std::result::Result<T, E> {
        let (connection, place) = self.take().await?;
        let mut conn = Conn::sqlite(connection, self.0.clock.clone(), FaultPoint::default());
        let outcome = work(&mut conn).await;
        if let Handle::Sqlite(connection) = conn.handle {
            self.give_back(connection, place);
        }
        outcome
    }

    /// A connection and the place it takes; waits for a few seconds at most.
    async fn take(&self) -> Result<(SqliteConnection, OwnedSemaphorePermit)> {
        let place = tokio::time::timeout(
            self.0.acquire_timeout,
            Arc::clone(&self.0.places).acquire_owned(),
        )
        .await;
        let place = place.map_err(|_| Error::Unavailable("every reader is busy".into()))?;
        let place = place.map_err(|_| Error::Unavailable("the database is closed".into()))?;
        let idle = self.lock().pop();
        match idle {
            Some(connection) => Ok((connection, place)),
            None => Ok((self.0.options.connect().await?, place)),
        }
    }

    /// After a read that ran to its end.
    fn give_back(&self, connection: SqliteConnection, place: OwnedSemaphorePermit) {
        self.lock().push(connection);
        drop(place);
    }

    pub(in crate::store) async fn close(&self) {
        self.0.places.close();
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
