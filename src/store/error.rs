//! Errors of the database. A row that does not exist is `None`, not an error.

use crate::connection::Broken;

/// The error of all store functions.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Unavailable, overloaded or locked. Nothing was changed beyond what was answered. May be
    /// tried again.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The connection is lost; the last statement may have been executed. This connection and the
    /// idle ones are closed.
    #[error("the database is not available: {0}")]
    Lost(String),
    /// No transaction was begun. Nothing was sent, so the work may be run again.
    #[error("the database is not available: {0}")]
    NotBegun(String),
    /// The database rolled back the whole transaction in favour of another one (serialization
    /// failure, deadlock). The work may be run again.
    #[error("the database is too busy: {0}")]
    RolledBack(String),
    /// The database answers but cannot be written: a full disk, a read-only file or server, a disk
    /// that fails. Nothing was changed.
    #[error("the database cannot be written: {0}")]
    Unwritable(String),
    /// A unique constraint was violated.
    #[error("the row exists already")]
    Conflict,
    /// A stored value has a form that the program never writes.
    #[error("the value in {table}.{column} is unreadable")]
    Corrupt {
        /// Name of the table.
        table: &'static str,
        /// Name of the column.
        column: &'static str,
    },
    /// A newer program has migrated the schema.
    #[error(
        "the database schema has migration {0}, which this program does not know; use a newer countersign, or restore the backup from before the upgrade"
    )]
    SchemaTooNew(i64),
    /// The migration of the schema failed.
    #[error("migration failed: {0}")]
    Migration(String),
    /// This version does not support the URL.
    #[error("{0}")]
    Unsupported(String),
    /// Any other error.
    #[error("database error: {0}")]
    Other(String),
}

/// Result with the error of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// SQLite: BUSY and LOCKED; extended codes have the same low byte.
const TEMPORARY: [u32; 2] = [5, 6];
/// SQLite: READONLY, IOERR, FULL, CANTOPEN.
const UNWRITABLE_FILE: [u32; 4] = [8, 10, 13, 14];
/// Postgres: read_only_sql_transaction (a server that was demoted), disk_full, a system error (58).
const UNWRITABLE_SERVER: [&str; 3] = ["25006", "53100", "58"];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::of(&error)
    }
}

impl Error {
    /// Converts an error of the driver.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let reason = reason(error);
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Tls(_) => Self::Lost(reason),
            sqlx::Error::Database(db) if db.is_unique_violation() => Self::Conflict,
            sqlx::Error::Database(db) if undone(db.as_ref()) => Self::RolledBack(reason),
            sqlx::Error::Database(db) if is_unwritable(db.as_ref()) => Self::Unwritable(reason),
            sqlx::Error::Database(db)
                if sqlstate(db.as_ref()).is_some_and(|code| among(&GONE, code)) =>
            {
                Self::Lost(reason)
            }
            sqlx::Error::Database(db) if is_temporary(db.as_ref()) => Self::Unavailable(reason),
            _ => Self::Other(reason),
        }
    }
}

/// Returns what may be logged of an error: codes and fixed texts. The text of a Postgres server may
/// contain values of the statement, so only its code and the name of the constraint are used.
/// SQLite's texts name tables and columns but contain no values.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(db) => match (sqlstate(db.as_ref()), db.constraint()) {
            (Some(code), Some(constraint)) => {
                format!("Postgres answered {code} ({}, {constraint})", meaning(code))
            }
            (Some(code), None) => format!("Postgres answered {code} ({})", meaning(code)),
            (None, _) => error.to_string(),
        },
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
            let broken = Broken::in_error(error).unwrap_or(Broken::Tls);
            format!("the database: {broken}")
        }
        other => other.to_string(),
    }
}

/// Returns what a code of Postgres means for an operator (appendix A of its manual).
fn meaning(code: &str) -> &'static str {
    const CLASSES: [(&str, &str); 14] = [
        ("28", "it refuses the user or the password"),
        ("3D", "there is no such database"),
        ("25006", "it is read-only"),
        ("40", "it undid the transaction"),
        ("42501", "the user lacks a privilege"),
        (
            "42",
            "it rejects the statement; does the schema have another version?",
        ),
        (
            "53",
            "it has run out of something: connections, memory or disk",
        ),
        ("55P03", "a lock could not be acquired"),
        ("57014", "it cancelled the statement"),
        (
            "57",
            "it is starting or stopping, or an operator intervened",
        ),
        ("58", "its system or disk has failed"),
        ("08", "the connection failed"),
        ("22", "it rejects a value"),
        ("23", "a constraint was violated"),
    ];
    CLASSES
        .iter()
        .find(|(class, _)| code.starts_with(class))
        .map_or("see appendix A of its manual", |(_, meaning)| meaning)
}

impl Error {
    /// Marks the error of a `BEGIN`, which happened before anything of the work was sent.
    pub(super) fn before_anything(self) -> Self {
        match self {
            Self::Lost(reason) => Self::NotBegun(reason),
            other => other,
        }
    }
}

impl Error {
    /// Copies the error for every piece of a batch that was not committed.
    pub(super) fn for_everyone(&self) -> Self {
        match self {
            Self::Unwritable(reason) => Self::Unwritable(reason.clone()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

fn sqlstate(error: &dyn sqlx::error::DatabaseError) -> Option<&str> {
    error
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .map(sqlx::postgres::PgDatabaseError::code)
}

/// Returns whether it is serialization_failure or deadlock_detected.
fn undone(error: &dyn sqlx::error::DatabaseError) -> bool {
    sqlstate(error).is_some_and(|code| matches!(code, "40001" | "40P01"))
}

/// Postgres: connection lost (08), stopping or starting (57P).
const GONE: [&str; 2] = ["08", "57P"];
/// Insufficient resources (53), cancelled by an operator or a limit (57014, 55P03), an unknown
/// outcome (40003): the connection is still usable.
const PASSING: [&str; 4] = ["53", "57014", "55P03", "40003"];

fn among(classes: &[&str], code: &str) -> bool {
    classes.iter().any(|class| code.starts_with(class))
}

/// Returns the primary result code if the database is SQLite.
fn sqlite_code(error: &dyn sqlx::error::DatabaseError) -> Option<u32> {
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    error.code()?.parse::<u32>().ok().map(|code| code & 0xFF)
}

fn is_unwritable(error: &dyn sqlx::error::DatabaseError) -> bool {
    match sqlstate(error) {
        Some(code) => among(&UNWRITABLE_SERVER, code),
        None => sqlite_code(error).is_some_and(|code| UNWRITABLE_FILE.contains(&code)),
    }
}

fn is_temporary(error: &dyn sqlx::error::DatabaseError) -> bool {
    match sqlstate(error) {
        Some(code) => among(&PASSING, code),
        None => sqlite_code(error).is_some_and(|code| TEMPORARY.contains(&code)),
    }
}
