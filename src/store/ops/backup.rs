//! Copies of the SQLite file: making one while the service is serving, and examining one.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::model::kernel::time::Timestamp;
use crate::store::engine::migrate;
use crate::store::key::master_keys::Version;
use crate::store::key::{master_keys, signing_keys};
use crate::store::{Conn, Error, FaultPoint, Result, TimeSource, on};

/// What is in a copy of the SQLite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The number of migrations that a start applies.
    pub missing_migrations: usize,
    /// The number of the current master key, under which the signing keys are sealed; `None` if the
    /// database was never served from.
    pub current: Option<i64>,
    /// Every master key that the database knows, oldest first.
    pub master_keys: Vec<Version>,
    /// The number of users.
    pub users: i64,
    /// The time of the newest audit event.
    pub newest_event: Option<Timestamp>,
}

/// Writes a consistent copy of the SQLite database `from` into `to`, which must not exist or be
/// empty. The copy has the state of one moment, and other connections go on writing.
pub async fn copy(from: &Path, to: &Path) -> Result<()> {
    let name = to
        .to_str()
        .ok_or_else(|| Error::Unsupported(format!("{} is not UTF-8", to.display())))?;
    let options = SqliteConnectOptions::new().filename(from).read_only(true);
    // A copy may take longer than a statement that would be worth a line in the log.
    let mut connection = options.disable_statement_logging().connect().await?;
    sqlx::query("VACUUM INTO $1")
        .bind(name)
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}

/// Returns what SQLite's `integrity_check` finds in the file, one line a problem; empty if the file
/// is sound. Opens the file read-only and makes no other file beside it.
pub async fn damage(file: &Path) -> Result<Vec<String>> {
    let mut conn = open(file).await?;
    let lines: Vec<String> =
        on!(conn, c => sqlx::query_scalar("PRAGMA integrity_check").fetch_all(c).await)?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// Returns what the file contains.
///
/// # Errors
/// [`Error::SchemaTooNew`] and [`Error::Migration`] if this program cannot serve its schema.
pub async fn contents(file: &Path) -> Result<Contents> {
    let missing_migrations = migrate::missing_in(&options(file)).await?;
    let mut conn = open(file).await?;
    let conn = &mut conn;
    Ok(Contents {
        missing_migrations,
        current: signing_keys::master_version(conn).await?,
        master_keys: master_keys::list(conn).await?,
        users: on!(conn, c => sqlx::query_scalar("SELECT COUNT(*) FROM users").fetch_one(c).await)?,
        newest_event: newest_event(conn).await?,
    })
}

async fn newest_event(conn: &mut Conn) -> Result<Option<Timestamp>> {
    let at: Option<i64> =
        on!(conn, c => sqlx::query_scalar("SELECT MAX(at) FROM audit_events").fetch_one(c).await)?;
    Ok(at.map(Timestamp))
}

/// Returns options that tell SQLite that no process writes to the file: otherwise it would make
/// files beside a backup that is in the journal mode of a served database.
fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .immutable(true)
        .disable_statement_logging()
}

async fn open(file: &Path) -> Result<Conn> {
    let connection = options(file).connect().await?;
    Ok(Conn::sqlite(
        connection,
        TimeSource::default(),
        FaultPoint::default(),
    ))
}
