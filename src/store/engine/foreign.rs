//! Refuses a SQLite file that belongs to another program, before anything is created in it or beside
//! it.

use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::store::{Error, Result};

/// The primary result code of SQLite for a file that is no database.
const NOT_A_DATABASE: &str = "26";

/// A table that this program has had since its first migration.
const OURS: &str = "signing_keys";

/// Checks that the file is empty, or a database that this program has migrated. Tables whose names
/// begin with `_` do not count: tools for backups keep theirs so.
///
/// # Errors
/// [`Error::Unsupported`] with a table that was found; another error if the file cannot be read.
pub(super) async fn refuse(file: &Path) -> Result<()> {
    if !std::fs::metadata(file).is_ok_and(|found| found.len() > 0) {
        return Ok(());
    }
    match tables(file).await {
        Ok(tables) => match foreign(&tables) {
            Some(table) => Err(Error::Unsupported(format!(
                "{} is a database of another program (it has the table {table}): is database.url right?",
                file.display()
            ))),
            None => Ok(()),
        },
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NOT_A_DATABASE) => {
            Err(Error::Unsupported(format!(
                "{} is not a SQLite database: is database.url right?",
                file.display()
            )))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns a table of another program, unless the tables are ours.
fn foreign(tables: &[String]) -> Option<&String> {
    let is_ours = tables.iter().any(|table| table == OURS);
    let mut others = tables.iter().filter(|table| !table.starts_with('_'));
    others.next().filter(|_| !is_ours)
}

async fn tables(file: &Path) -> std::result::Result<Vec<String>, sqlx::Error> {
    // Without a write-ahead log the file is all that there is, and a reader that says so creates no
    // log and no index of one beside it.
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .immutable(!Path::new(&log).exists());
    let mut connection = options.connect().await?;
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let names = sqlx::query_scalar(sql).fetch_all(&mut connection).await?;
    sqlx::Connection::close(connection).await?;
    Ok(names)
}
