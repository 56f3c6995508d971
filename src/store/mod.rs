//! Every line of SQL. `Db` is SQLite or Postgres; a function takes a `Conn` and is one statement or one atomic step, its SQL beside
//! it, `$1` placeholders, no `now()` and no `random()`. Reads go through `db.read`, writes through `db.write`: a savepoint in the
//! writer's batch on SQLite, a transaction on Postgres. A store function never begins one itself.

pub mod audit;
pub mod error;
pub mod master_keys;
pub mod migrate;
mod readers;
pub mod refresh;
pub mod sessions;
pub mod signing_keys;
pub mod users;
mod writer;

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, PgPool, Postgres};

pub use error::{Error, Result};
use readers::Readers;
use writer::Writer;

/// Work on a connection that is not finished before its commit.
pub type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// The database.
#[derive(Clone)]
pub enum Db {
    /// One writer task, a small pool of read-only connections.
    Sqlite {
        /// Takes the writes.
        writer: Writer,
        /// Serves the reads.
        readers: Readers,
    },
    /// A pool.
    Postgres(PgPool),
}

/// A connection that a store function works on.
pub enum Conn {
    /// The writer's own.
    Sqlite {
        /// The connection.
        connection: SqliteConnection,
        /// Whether a transaction is open on it.
        in_transaction: bool,
        /// The end of this process's audit chain, while nothing was rolled back since it was written.
        audit_tail: Option<(i64, [u8; 32])>,
    },
    /// A reader's.
    SqliteReader(SqliteConnection),
    /// Of the pool.
    Postgres(PoolConnection<Postgres>),
}

/// Runs a query on whichever database the connection is of: `on!(conn, c => query.fetch_one(c).await)`.
macro_rules! on {
    ($conn:expr, $c:ident => $query:expr) => {
        match $conn {
            $crate::store::Conn::Sqlite { connection, .. } => {
                let $c = &mut *connection;
                $query
            }
            $crate::store::Conn::SqliteReader(reader) => {
                let $c = &mut *reader;
                $query
            }
            $crate::store::Conn::Postgres(connection) => {
                let $c = &mut **connection;
                $query
            }
        }
    };
}
pub(crate) use on;

/// How the pool is sized.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that read (SQLite) or all (Postgres).
    pub max_connections: u32,
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages in the write-ahead log before they are carried over: 16 MiB, so that a page written often is carried once.
const CHECKPOINT_PAGES: &str = "4000";
/// Few are enough: a read is a memory access.
const MAX_READERS: u32 = 4;

impl Db {
    /// Opens the database of the URL and brings its schema up to date.
    pub async fn open(url: &str, limits: Limits) -> Result<Self> {
        let path = sqlite_path(url)?;
        create_private(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .log_statements(tracing::log::LevelFilter::Trace);
        migrate::sqlite(&options, &path).await?;
        let connection = options.connect().await?;
        let readers = Readers::new(options.read_only(true), limits.max_connections.clamp(1, MAX_READERS));
        Ok(Self::Sqlite { writer: Writer::start(connection), readers })
    }

    /// Reads on one connection.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T>,
    {
        match self {
            Self::Sqlite { readers, .. } => {
                let (connection, place) = readers.take().await?;
                let mut conn = Conn::SqliteReader(connection);
                let outcome = work(&mut conn).await;
                if let Conn::SqliteReader(connection) = conn {
                    readers.give_back(connection, place);
                }
                outcome
            }
            Self::Postgres(pool) => work(&mut Conn::Postgres(pool.acquire().await?)).await,
        }
    }

    /// Writes atomically: everything or, if the work fails, nothing. The answer comes after the commit.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Send + 'static,
    {
        match self {
            Self::Sqlite { writer, .. } => writer.run(writer::Shape::Steps, Duration::ZERO, work).await,
            Self::Postgres(pool) => in_transaction(pool.clone(), work).await,
        }
    }

    /// As [`Self::write`], while more of its kind are on their way: it may wait so long for one of them to share its commit (SQLite).
    pub async fn write_in_company<T, F>(&self, patience: Duration, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Send + 'static,
    {
        match self {
            Self::Sqlite { writer, .. } => writer.run(writer::Shape::Steps, patience, work).await,
            Self::Postgres(_) => self.write(work).await,
        }
    }

    /// Writes whose first statement is whole by itself and usually all there is: it runs without a savepoint, and alone without a
    /// transaction. Whatever follows it must stand inside [`Conn::atomic`].
    pub async fn write_statement<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Send + 'static,
    {
        match self {
            Self::Sqlite { writer, .. } => writer.run(writer::Shape::Statement, Duration::ZERO, work).await,
            Self::Postgres(pool) => {
                let mut conn = Conn::Postgres(pool.acquire().await?);
                spawn(async move { work(&mut conn).await }).await
            }
        }
    }

    /// Lets the writer finish what is queued and closes the connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Conn {
    /// Several statements as one step, inside a transaction that is open or in one of their own.
    pub async fn atomic<T>(&mut self, work: impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, T>) -> Result<T> {
        let nested = matches!(self, Self::Sqlite { in_transaction: true, .. });
        let (begin, commit, rollback) = if nested {
            ("SAVEPOINT step", "RELEASE step", "ROLLBACK TO step; RELEASE step")
        } else if matches!(self, Self::Postgres(_)) {
            ("BEGIN", "COMMIT", "ROLLBACK")
        } else {
            ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
        };
        self.execute(begin).await?;
        match work(self).await {
            Ok(value) => self.execute(commit).await.map(|()| value),
            Err(error) => {
                self.forget_audit_tail();
                // SQLite may have rolled back by itself, and then this fails: what went wrong first is what counts.
                drop(self.execute(rollback).await);
                Err(error)
            }
        }
    }

    /// After a rollback only the table knows where the chain ends.
    fn forget_audit_tail(&mut self) {
        if let Self::Sqlite { audit_tail, .. } = self {
            *audit_tail = None;
        }
    }

    async fn execute(&mut self, sql: &'static str) -> Result<()> {
        on!(self, c => sqlx::raw_sql(sql).execute(c).await.map(|_| ()))?;
        Ok(())
    }
}

/// A transaction on Postgres, carried to its end even if the caller hangs up.
async fn in_transaction<T, F>(pool: PgPool, work: F) -> Result<T>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T> + Send + 'static,
{
    let mut conn = Conn::Postgres(pool.acquire().await?);
    spawn(async move { conn.atomic(work).await }).await
}

async fn spawn<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.unwrap_or_else(|e| Err(Error::Unavailable(e.to_string())))
}

fn sqlite_path(url: &str) -> Result<PathBuf> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Err(Error::Unsupported("postgres:// is not served yet; use sqlite://PATH".into()));
    }
    let path = url.strip_prefix("sqlite://").filter(|p| !p.is_empty() && !p.contains(['?', '#']));
    path.map(PathBuf::from).ok_or_else(|| Error::Unsupported("write the database as sqlite://PATH, such as sqlite://data/countersign.db".into()))
}

/// The file is made with mode 0600 (its -wal and -shm follow it), a new folder with 0700.
fn create_private(path: &Path) -> Result<()> {
    let unavailable = |e: std::io::Error| Error::Unavailable(format!("cannot open {}: {e}", path.display()));
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty() && !d.exists()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unavailable)?;
    }
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(unavailable)?;
    Ok(())
}

/// Bytes as stored: base64url.
pub(crate) fn hash_text(hash: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash)
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
