//! The database as flows use it: opened once, read on any free connection, written in one
//! transaction for each piece of work.

use super::background::Checkpoints;
use super::conn::{Conn, Work};
use super::erased::{Erased, Stop, erase};
use super::faults::FaultPoint;
use super::listener::Listener;
use super::options::Options;
use super::postgres::Pool;
use super::readers::Readers;
use super::write_options::WriteOptions;
use super::writer::Writer;
use super::writes::Writes;
use super::{migrate, postgres_options, query, sqlite};
use crate::model::kernel::database_url::DatabaseUrl;
use crate::store::{Error, Result};
use tracing::Instrument;

/// The open database.
#[derive(Clone)]
pub enum Db {
    /// A SQLite file: one writer task and a small pool of read-only connections.
    Sqlite {
        /// Runs the writes of all pieces of work.
        writer: Writer,
        /// Runs the reads of all pieces of work.
        readers: Readers,
        /// Makes checkpoints of the write-ahead log for background work.
        checkpoints: Checkpoints,
        /// Whether the database can be written, as far as is known.
        writes: Writes,
    },
    /// A Postgres server with a pool of connections.
    Postgres {
        /// Runs reads and writes.
        pool: Pool,
        /// The source of notifications; connects past any pooler.
        listen: Listener,
        /// Whether the database can be written, as far as is known.
        writes: Writes,
    },
}

impl Db {
    /// Opens the database of the URL and, unless disabled, migrates its schema.
    pub async fn open(url: &DatabaseUrl, options: &Options) -> Result<Self> {
        let url = match url {
            DatabaseUrl::Postgres(url) => url,
            DatabaseUrl::Sqlite(file) => {
                let (writer, readers, checkpoints) = sqlite::open(file, options).await?;
                return Ok(Self::Sqlite {
                    writer,
                    readers,
                    checkpoints,
                    writes: Writes::default(),
                });
            }
        };
        let direct = postgres_options::direct_connect_options(url, options)?;
        migrate::postgres(&direct, options.migrate).await?;
        let connect = postgres_options::connect_options(url, options)?;
        let pool = Pool::new(connect, options.clone());
        Ok(Self::Postgres {
            pool,
            listen: Listener::new(direct),
            writes: Writes::default(),
        })
    }

    /// Returns whether processes on other machines may use the database, too.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres { .. })
    }

    /// Returns the number of busy connections and their maximum; on SQLite those for reading.
    pub fn connections(&self) -> (usize, usize) {
        match self {
            Self::Sqlite { readers, .. } => readers.busy(),
            Self::Postgres { pool, .. } => pool.busy(),
        }
    }

    /// Returns the number of writes that wait for SQLite's single writer; 0 on Postgres.
    pub fn queued_writes(&self) -> usize {
        match self {
            Self::Sqlite { writer, .. } => writer.queued(),
            Self::Postgres { .. } => 0,
        }
    }

    /// Returns the source of notifications; `None` on SQLite.
    pub fn listener(&self) -> Option<&Listener> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { listen, .. } => Some(listen),
        }
    }

    /// Returns where tests make statements of writes fail.
    pub fn faults(&self) -> &FaultPoint {
        match self {
            Self::Sqlite { writer, .. } => writer.faults(),
            Self::Postgres { pool, .. } => pool.faults(),
        }
    }

    /// Runs a read on one connection.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone + Send + 'static,
    {
        self.read_or_refuse(work).await
    }

    /// Runs a read on one connection, for work that may refuse.
    ///
    /// # Errors
    /// The work's own errors and those of the database.
    pub async fn read_or_refuse<T, E, F>(&self, work: F) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E> + Clone + Send + 'static,
    {
        let (work, slot) = erase(work);
        slot.outcome(self.run_read(work).await)
    }

    async fn run_read(&self, work: Erased) -> std::result::Result<(), Stop> {
        let span = tracing::info_span!(target: "traces", "database.read", otel.kind = "client");
        let attempt = query::attempt::<(), Stop, _>(move |conn| work.attempt(conn));
        match self {
            Self::Sqlite { readers, .. } => readers.run(attempt).instrument(span).await,
            Self::Postgres { pool, .. } => pool.read(attempt).instrument(span).await,
        }
    }

    /// Runs a write in a transaction. If the work returns an `Err`, the transaction is rolled back,
    /// whether the error is a refusal of the work or an error of the database. The work's time is
    /// [`Conn::now`].
    ///
    /// Work that could not be begun within [`MAX_WAIT`](super::asked::MAX_WAIT), or whose caller
    /// was dropped before, is not begun and returns [`Error::Unavailable`]. The result is returned
    /// after the commit. What the database rolled back by itself (a serialization failure, a
    /// deadlock) is run again, so the work must be safe to run more than once.
    pub async fn write_with<T, E, F>(
        &self,
        options: WriteOptions,
        work: F,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E> + Clone + Send + 'static,
    {
        let (work, slot) = erase(work);
        slot.outcome(self.run_write(options, work).await)
    }

    async fn run_write(
        &self,
        options: WriteOptions,
        work: Erased,
    ) -> std::result::Result<(), Stop> {
        let span = tracing::info_span!(target: "traces", "database.write", otel.kind = "client");
        let attempt = query::attempt::<(), Stop, _>(move |conn| work.attempt(conn));
        let written = match self {
            Self::Sqlite { writer, .. } => writer.run(options, attempt).instrument(span).await,
            Self::Postgres { pool, .. } => pool.write(options, attempt).instrument(span).await,
        };
        self.writes()
            .note(written.outcome.is_ok(), written.failure.as_ref());
        written.outcome
    }

    /// Runs a write as [`Self::write_with`] does, with the default options.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone + Send + 'static,
    {
        self.write_with(WriteOptions::STEPS, work).await
    }

    /// Lets the writer finish what is queued, and closes the connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite {
                writer,
                readers,
                checkpoints,
                ..
            } => {
                checkpoints.close().await;
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pool, .. } => pool.close().await,
        }
    }
}
