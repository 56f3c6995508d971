//! Examines the target of a copy while the source is still served from: whether it can be reached
//! and written, and what is in it. What has to be written to find that out is rolled back.

use std::path::Path;

use rustix::fs::{Access, access};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::asked::TimeSource;
use super::conn::Conn;
use super::faults::FaultPoint;
use super::{migrate, postgres_options};
use crate::model::kernel::database_url::DatabaseUrl;
use crate::store::{Error, Options, Result, on};

/// What is at the target of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyTarget {
    /// Whether the database exists. Only a SQLite file can be missing; a copy creates it.
    pub exists: bool,
    /// The number of migrations that a copy applies first.
    pub missing_migrations: usize,
    /// The version of the key ring; 0 if the database was never served from.
    pub ring_version: i64,
    /// The number of users.
    pub users: i64,
}

/// Examines the database at `url`.
///
/// # Errors
/// [`Error::Unavailable`] and [`Error::Unwritable`] if it cannot be reached or written;
/// [`Error::SchemaTooNew`] and [`Error::Migration`] if its schema cannot become this program's.
pub async fn examine(url: &DatabaseUrl, options: &Options) -> Result<CopyTarget> {
    if let DatabaseUrl::Sqlite(file) = url
        && !file.exists()
    {
        may_be_created(file)?;
        return Ok(CopyTarget {
            exists: false,
            missing_migrations: migrate::pending(url, options).await?.len(),
            ring_version: 0,
            users: 0,
        });
    }
    let missing_migrations = migrate::pending(url, options).await?.len();
    let mut conn = connect(url, options).await?;
    try_to_write(&mut conn, missing_migrations > 0).await?;
    let (ring_version, users) = if has_tables(&mut conn).await? {
        (
            number(&mut conn, "SELECT version FROM key_ring WHERE id = 1").await?,
            number(&mut conn, "SELECT COUNT(*) FROM users").await?,
        )
    } else {
        (0, 0)
    };
    Ok(CopyTarget {
        exists: true,
        missing_migrations,
        ring_version,
        users,
    })
}

async fn connect(url: &DatabaseUrl, options: &Options) -> Result<Conn> {
    let (clock, faults) = (TimeSource::default(), FaultPoint::default());
    match url {
        DatabaseUrl::Sqlite(file) => {
            let connect = SqliteConnectOptions::new()
                .filename(file)
                .busy_timeout(options.lock_timeout);
            Ok(Conn::sqlite(connect.connect().await?, clock, faults))
        }
        DatabaseUrl::Postgres(url) => {
            let direct = postgres_options::direct_connect_options(url, options)?;
            let connection = migrate::connect(direct).await?;
            Ok(Conn::postgres(
                connection,
                0,
                "BEGIN".into(),
                true,
                clock,
                faults,
            ))
        }
    }
}

/// Makes a change and rolls it back: creates a table if the copy has to create any, or else changes
/// a row, because a user of Postgres may lack the privilege that the copy does not need either.
async fn try_to_write(conn: &mut Conn, creates: bool) -> Result<()> {
    let change = if creates {
        "CREATE TABLE countersign_copy_probe (id BIGINT)"
    } else {
        "UPDATE key_ring SET version = version"
    };
    let tried: Result<()> = conn
        .atomic(|conn| {
            Box::pin(async move {
                conn.execute(change).await?;
                Err(Error::Conflict)
            })
        })
        .await;
    match tried {
        Err(Error::Conflict) => Ok(()),
        outcome => outcome,
    }
}

async fn has_tables(conn: &mut Conn) -> Result<bool> {
    let sql = if conn.is_postgres() {
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name IN ('key_ring', 'users')"
    } else {
        "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ('key_ring', 'users')"
    };
    Ok(number(conn, sql).await? == 2)
}

async fn number(conn: &mut Conn, sql: &'static str) -> Result<i64> {
    Ok(on!(conn, c => sqlx::query_scalar(sql).fetch_one(c).await)?)
}

/// Checks that the nearest folder above a missing file can be written: the copy creates the folders
/// between them.
fn may_be_created(file: &Path) -> Result<()> {
    let absolute = std::path::absolute(file)
        .map_err(|error| Error::Unsupported(format!("{}: {error}", file.display())))?;
    let folder = absolute
        .ancestors()
        .skip(1)
        .find(|folder| folder.exists())
        .unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        return Err(Error::Unwritable(format!(
            "{} is not a folder",
            folder.display()
        )));
    }
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        Error::Unwritable(format!(
            "{} cannot be created, because {} cannot be written: {error}",
            file.display(),
            folder.display()
        ))
    })
}
