//! The database as a flow sees it: opened once, read on any free connection, written in one
//! transaction for each piece of work.

use std::time::Duration;

use tracing::Instrument;

use crate::store::{Error, Result};

use super::asked::TimeSource;
use super::background::Checkpoints;
use super::conn::{Conn, Work};
use super::faults::FaultPoint;
use super::listener::Listener;
use super::postgres::Pool;
use super::readers::Readers;
use super::write_options::WriteOptions;
use super::writer::Writer;
use super::writes::Writes;
use super::{migrate, postgres, sqlite};

/// The database.
#[derive(Clone)]
pub enum Db {
    /// One writer task, a small pool of read-only connections.
    Sqlite {
        /// Takes the writes.
        writer: Writer,
        /// Serves the reads.
        readers: Readers,
        /// Carries the log over for background work.
        checkpoints: Checkpoints,
        /// Whether it can be written.
        writes: Writes,
    },
    /// A pool.
    Postgres {
        /// Takes both.
        pool: Pool,
        /// Where notifications come from, past any pooler.
        listen: Listener,
        /// Whether it can be written.
        writes: Writes,
    },
}

/// How a database is opened and used.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections that read (SQLite) or all (Postgres).
    pub max_connections: u32,
    /// The longest wait for a free or a new connection.
    pub acquire_timeout: Duration,
    /// The longest that the server works on one statement (Postgres).
    pub statement_timeout: Duration,
    /// The longest wait for somebody else's lock.
    pub lock_timeout: Duration,
    /// Off: every piece of work is a transaction without named statements, as a pooler in
    /// transaction mode wants it (Postgres).
    pub prepared_statements: bool,
    /// Past the pooler, for what needs a session of its own: notifications and migrations
    /// (Postgres).
    pub direct_url: Option<String>,
    /// Bring the schema up to date at start; else it must be the current one or the one before.
    pub migrate: bool,
    /// What the connections read the time from.
    pub clock: TimeSource,
    /// Where a test makes statements fail.
    pub faults: FaultPoint,
}

impl Default for Options {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            max_connections: 16,
            acquire_timeout: seconds(1),
            statement_timeout: seconds(3),
            lock_timeout: seconds(3),
            prepared_statements: true,
            direct_url: None,
            migrate: true,
            clock: TimeSource::default(),
            faults: FaultPoint::default(),
        }
    }
}

/// Whether a URL names a Postgres server.
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

impl Db {
    /// Opens the database of the URL and, unless told otherwise, brings its schema up to date.
    pub async fn open(url: &str, options: &Options) -> Result<Self> {
        if !is_postgres(url) {
            let (writer, readers, checkpoints) = sqlite::open(url, options).await?;
            return Ok(Self::Sqlite {
                writer,
                readers,
                checkpoints,
                writes: Writes::default(),
            });
        }
        let direct = Options {
            prepared_statements: true,
            ..options.clone()
        };
        let direct =
            postgres::connect_options(options.direct_url.as_deref().unwrap_or(url), &direct)?;
        migrate::postgres(&direct, options.migrate).await?;
        let pool = Pool::new(postgres::connect_options(url, options)?, options.clone());
        Ok(Self::Postgres {
            pool,
            listen: Listener::new(direct),
            writes: Writes::default(),
        })
    }

    /// Whether other machines may be using it too.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres { .. })
    }

    /// Connections at work, and how many there may be; on SQLite those that read.
    pub fn connections(&self) -> (usize, usize) {
        match self {
            Self::Sqlite { readers, .. } => readers.busy(),
            Self::Postgres { pool, .. } => pool.busy(),
        }
    }

    /// Writes that wait for SQLite's one writer; Postgres has many.
    pub fn queued_writes(&self) -> usize {
        match self {
            Self::Sqlite { writer, .. } => writer.queued(),
            Self::Postgres { .. } => 0,
        }
    }

    /// Where notifications come from; `None` where there are none.
    pub fn listener(&self) -> Option<&Listener> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { listen, .. } => Some(listen),
        }
    }

    /// Where a test makes statements of writes fail.
    pub fn faults(&self) -> &FaultPoint {
        match self {
            Self::Sqlite { writer, .. } => writer.faults(),
            Self::Postgres { pool, .. } => pool.faults(),
        }
    }

    /// Reads on one connection.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone,
    {
        self.read_or_refuse(work).await
    }

    /// Reads on one connection, for work that may refuse.
    ///
    /// # Errors
    /// The work's own, and those of the database.
    pub async fn read_or_refuse<T, E, F>(&self, work: F) -> std::result::Result<T, E>
    where
        E: From<Error>,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E> + Clone,
    {
        let span = tracing::info_span!(target: "traces", "database.read", otel.kind = "client");
        match self {
            Self::Sqlite { readers, .. } => readers.run(work).instrument(span).await,
            Self::Postgres { pool, .. } => pool.read(work).instrument(span).await,
        }
    }

    /// Writes atomically: everything or, if the work returns an `Err`, nothing. The error may be a
    /// refusal of the work's own or an error of the database: both roll back. The work's time is
    /// [`Conn::now`].
    ///
    /// Work that could not be begun within [`PATIENCE`](super::asked::PATIENCE), or whose caller
    /// has gone by then, is not begun and is [`Error::Unavailable`]. The answer comes after the
    /// commit. What the database rolled back by itself (a serialization failure, a deadlock) is
    /// done again, and so the work must be fit to run more than once.
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
        let span = tracing::info_span!(target: "traces", "database.write", otel.kind = "client");
        let written = match self {
            Self::Sqlite { writer, .. } => writer.run(options, work).instrument(span).await,
            Self::Postgres { pool, .. } => pool.write(options, work).instrument(span).await,
        };
        self.writes()
            .note(written.outcome.is_ok(), written.failure.as_ref());
        written.outcome
    }

    /// As [`Self::write_with`] in the usual way.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone + Send + 'static,
    {
        self.write_with(WriteOptions::STEPS, work).await
    }

    /// Lets the writer finish what is queued and closes the connections.
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
