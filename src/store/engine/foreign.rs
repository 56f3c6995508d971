//! Refuses a SQLite file that belongs to another program, before anything is created in it or beside
//! it.

use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::store::{Error, Result};

/// The primary result code of SQLite for a file that is no database.
const NOT_A_DATABASE: &str = "26";

/// Checks that the file is empty, or a database that this program has migrated. Tables whose names
/// begin with `_` do not count: tools for backups keep theirs so.
///
/// # Errors
/// [`Error::Unsupported`] with the tables that were found.
pub(super) async fn refuse(file: &Path) -> Result<()> {
    if !std::fs::metadata(file).is_ok_and(|found| found.len() > 0) {
        return Ok(());
    }
    match tables(file).await {
        Ok(tables) if tables.is_empty() || tables.iter().any(|t| t == "_sqlx_migrations") => Ok(()),
        Ok(tables) => match tables.iter().find(|table| !table.starts_with('_')) {
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
        // Opening it as usual says what is wrong.
        Err(_) => Ok(()),
    }
}

async fn tables(file: &Path) -> std::result::Result<Vec<String>, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = options.connect().await?;
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let names = sqlx::query_scalar(sql).fetch_all(&mut connection).await?;
    sqlx::Connection::close(connection).await?;
    Ok(names)
}
