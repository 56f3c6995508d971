//! Every line of SQL. `Db` is SQLite or Postgres; a function takes a `Conn` and is one statement or
//! one atomic step, its SQL beside it, `$1` placeholders, no `now()` and no `random()`. Reads go
//! through `db.read`, writes through `db.write`: a savepoint in the writer's batch on SQLite, a
//! transaction on Postgres. A store function never begins one itself.

pub mod account;
pub mod audit;
pub mod engine;
pub mod error;
pub mod key;
pub mod limit;
pub mod mails;
pub mod ops;
pub mod session;

use self::engine::{migrate, postgres, sqlite};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use crate::store::engine::asked::{PATIENCE, TimeSource};

pub(crate) use crate::store::engine::conn::on;
pub use crate::store::engine::conn::{Conn, Work};
pub use error::{Error, Result};

/// The origin of log lines that repeat the notices of a Postgres server, which may hold values of a
/// statement.
pub const NOTICES: &str = "sqlx::postgres::notice";
use crate::store::engine::background::Checkpoints;
use crate::store::engine::lanes::Lane;
use crate::store::engine::listener::Listener;
use crate::store::engine::postgres::Pool;
use crate::store::engine::readers::Readers;
use crate::store::engine::writer::Writer;
use crate::store::engine::writes::Writes;
use tracing::Instrument;

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
        }
    }
}

/// Whether a URL names a Postgres server.
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// What a piece of work looks like to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TransactionShape {
    /// One statement that is whole by itself.
    Statement,
    /// Several that belong together.
    Steps,
}

/// How a piece of work is written.
#[derive(Debug, Clone, Copy)]
struct WriteOptions {
    shape: TransactionShape,
    /// Among others of its kind it may wait so long for more (SQLite).
    batch_delay: Duration,
    /// Whether its answer waits for the disk.
    synced: bool,
    /// Whether requests go first (SQLite).
    lane: Lane,
}

impl WriteOptions {
    const STEPS: Self = Self {
        shape: TransactionShape::Steps,
        batch_delay: Duration::ZERO,
        synced: true,
        lane: Lane::Requests,
    };
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

    /// Reads on one connection.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone,
    {
        let span = tracing::info_span!(target: "traces", "database.read", otel.kind = "client");
        match self {
            Self::Sqlite { readers, .. } => readers.run(work).instrument(span).await,
            Self::Postgres { pool, .. } => pool.read(work).instrument(span).await,
        }
    }

    async fn write_as<T, F>(&self, options: WriteOptions, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone + Send + 'static,
    {
        let span = tracing::info_span!(target: "traces", "database.write", otel.kind = "client");
        let outcome = match self {
            Self::Sqlite { writer, .. } => writer.run(options, work).instrument(span).await,
            Self::Postgres { pool, .. } => pool.write(options, work).instrument(span).await,
        };
        self.writes().note(&outcome);
        outcome
    }

    /// Writes atomically: everything or, if the work fails, nothing. The work's time is
    /// [`Conn::now`]. Work that could not be begun within [`PATIENCE`], or whose caller has gone by
    /// then, is not begun and is [`Error::Unavailable`]. The answer comes after the commit. What
    /// the database rolled back by itself is done again, and so the work must be fit to run more
    /// than once.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone + Send + 'static,
    {
        self.write_as(WriteOptions::STEPS, work).await
    }

    /// As [`Self::write`], for work that may refuse: a refusal undoes everything that the work
    /// wrote before it.
    pub async fn write_unless_refused<T, E, F>(&self, work: F) -> Result<std::result::Result<T, E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, std::result::Result<T, E>>
            + Clone
            + Send
            + 'static,
    {
        let refusal = Arc::new(Mutex::new(None));
        let said = Arc::clone(&refusal);
        let outcome = self.write(move |conn| {
            Box::pin(async move {
                work(conn).await?.map_err(|refused| {
                    *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
                    Error::Refused
                })
            })
        });
        match Box::pin(outcome).await {
            Ok(done) => Ok(Ok(done)),
            Err(Error::Refused) => refusal
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .map(Err)
                .ok_or(Error::Refused),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::write`], but the answer does not wait for the disk: a power cut may forget it,
    /// though never without all that came after it. For what nobody was promised.
    pub async fn write_unsynced<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone + Send + 'static,
    {
        self.write_as(
            WriteOptions {
                synced: false,
                ..WriteOptions::STEPS
            },
            work,
        )
        .await
    }

    /// As [`Self::write`], while more of its kind are on their way: it may wait so long for one of
    /// them to share its commit (SQLite).
    pub async fn write_with_batch_delay<T, F>(&self, batch_delay: Duration, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone + Send + 'static,
    {
        self.write_as(
            WriteOptions {
                batch_delay,
                ..WriteOptions::STEPS
            },
            work,
        )
        .await
    }

    /// Writes whose first statement is whole by itself and usually all there is: it runs without a
    /// savepoint, and alone without a transaction. Whatever follows it must stand inside
    /// [`Conn::atomic`].
    pub async fn write_statement<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Clone + Send + 'static,
    {
        self.write_as(
            WriteOptions {
                shape: TransactionShape::Statement,
                ..WriteOptions::STEPS
            },
            work,
        )
        .await
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

/// Bytes as stored: base64url.
pub(crate) fn hash_text(hash: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash)
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()?
        .try_into()
        .ok()
}
