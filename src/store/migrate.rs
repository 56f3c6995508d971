//! The schema's versions: `migrations/sqlite` and `migrations/postgres`, the same file names, embedded in the binary.
//! A schema that is newer than the program is refused; programs that start at once wait for one another.

use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::sqlite::SqliteConnectOptions;

use super::{Conn, Error, Result, on};

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Applies what is missing to the SQLite file.
pub(super) async fn sqlite(options: &SqliteConnectOptions, path: &Path) -> Result<()> {
    let _lock = lock(path)?;
    let mut connection = options.connect().await?;
    SQLITE.run(&mut connection).await.map_err(translate)?;
    sqlx::Connection::close(connection).await?;
    Ok(())
}

/// SQLite migrations take no lock of their own. The lock ends with the file handle, and so with the process.
fn lock(path: &Path) -> Result<std::fs::File> {
    let beside = path.with_extension("lock");
    let unavailable = |e: std::io::Error| Error::Unavailable(format!("cannot lock {}: {e}", beside.display()));
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&beside).map_err(unavailable)?;
    file.lock().map_err(unavailable)?;
    Ok(file)
}

/// The versions that this program knows and the file at `url` lacks; nothing is written.
pub async fn pending(url: &str) -> Result<Vec<(i64, String)>> {
    let path = super::sqlite_path(url)?;
    let mut applied = Vec::new();
    if path.exists() {
        let mut connection = SqliteConnectOptions::new().filename(&path).read_only(true).connect().await?;
        applied = match connection.list_applied_migrations(&SQLITE.table_name).await {
            Ok(applied) => applied.into_iter().map(|m| m.version).collect(),
            Err(MigrateError::Execute(sqlx::Error::Database(e))) if e.message().contains("no such table") => Vec::new(),
            Err(error) => return Err(translate(error)),
        };
    }
    if let Some(newer) = applied.iter().find(|v| SQLITE.iter().all(|m| m.version != **v)) {
        return Err(Error::SchemaTooNew(*newer));
    }
    let missing = SQLITE.iter().filter(|m| !applied.contains(&m.version));
    Ok(missing.map(|m| (m.version, m.description.to_string())).collect())
}

/// Whether the schema is the one this program was built for.
pub async fn is_current(conn: &mut Conn) -> Result<bool> {
    let known = match conn {
        Conn::Sqlite { .. } | Conn::SqliteReader(_) => &SQLITE,
        Conn::Postgres(_) => &POSTGRES,
    };
    let newest = known.iter().map(|m| m.version).max().unwrap_or(0);
    let found: (Option<i64>,) = on!(conn, c => sqlx::query_as("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(c).await)?;
    Ok(found.0 == Some(newest))
}

fn translate(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) => Error::SchemaTooNew(version),
        MigrateError::Execute(error) => error.into(),
        other => Error::Migration(other.to_string()),
    }
}
