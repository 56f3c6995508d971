//! What can go wrong with the database. "Not found" is `Option`, not an error.

use crate::connection::Broken;

/// The one error of this room.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Away, overloaded or locked; nothing was changed that was answered. Try again.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The connection is gone; what it was last asked may have been done. It and those at rest are
    /// thrown away.
    #[error("the database is not available: {0}")]
    Lost(String),
    /// No transaction was begun: nothing was sent, and the work may be done again.
    #[error("the database is not available: {0}")]
    NotBegun(String),
    /// The database undid the whole transaction to let another one pass (serialization failure,
    /// deadlock); it may be done again.
    #[error("the database is too busy: {0}")]
    RolledBack(String),
    /// The database answers and cannot be written: a full disk, a file or a server that is
    /// read-only, a disk that fails. Nothing was changed.
    #[error("the database cannot be written: {0}")]
    Unwritable(String),
    /// A unique constraint said no.
    #[error("the row exists already")]
    Conflict,
    /// A stored value is none that we write.
    #[error("the value in {table}.{column} is unreadable")]
    Corrupt {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
    },
    /// The file was written by a newer program.
    #[error(
        "the database schema has migration {0}, which this program does not know; use a newer countersign"
    )]
    SchemaTooNew(i64),
    /// The schema could not be brought up to date.
    #[error("migration failed: {0}")]
    Migration(String),
    /// The URL is none that this version serves.
    #[error("{0}")]
    Unsupported(String),
    /// Anything else.
    #[error("database error: {0}")]
    Other(String),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

/// SQLite: BUSY and LOCKED; extended codes share the low byte.
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
    /// What an error of the driver means here.
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

/// What may be said of an error, in a log too: codes and words of ours. The text of a Postgres
/// server may hold values of the statement, so only its code and the name of the constraint are
/// told. SQLite's texts name tables and columns and no values.
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
            Broken::in_error(error).unwrap_or(Broken::Tls).to_string()
        }
        other => other.to_string(),
    }
}

/// What a code of Postgres is about, as far as an operator can do something about it (appendix A of
/// its manual).
fn meaning(code: &str) -> &'static str {
    const CLASSES: [(&str, &str); 14] = [
        ("28", "it refuses the user or the password"),
        ("3D", "there is no such database"),
        ("25006", "it is read-only"),
        ("40", "it undid the transaction"),
        ("42501", "the user lacks a right"),
        (
            "42",
            "it does not understand the statement; is the schema another version's?",
        ),
        (
            "53",
            "it has run out of something: connections, memory or disk",
        ),
        ("55P03", "a lock was not to be had"),
        ("57014", "it cancelled the statement"),
        (
            "57",
            "it is starting or stopping, or an operator intervened",
        ),
        ("58", "its system or disk has failed"),
        ("08", "the connection failed"),
        ("22", "it does not take a value"),
        ("23", "a constraint said no"),
    ];
    CLASSES
        .iter()
        .find(|(class, _)| code.starts_with(class))
        .map_or("see appendix A of its manual", |(_, meaning)| meaning)
}

impl Error {
    /// What went wrong with a `BEGIN` went wrong before anything of the work was sent.
    pub(super) fn before_anything(self) -> Self {
        match self {
            Self::Lost(reason) => Self::NotBegun(reason),
            other => other,
        }
    }
}

impl Error {
    /// The same news for everyone in a batch that was not committed.
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

/// serialization_failure, deadlock_detected.
fn undone(error: &dyn sqlx::error::DatabaseError) -> bool {
    sqlstate(error).is_some_and(|code| matches!(code, "40001" | "40P01"))
}

/// Postgres: connection lost (08), stopping or starting (57P).
const GONE: [&str; 2] = ["08", "57P"];
/// Out of something (53), an operator or a limit (57014, 55P03), an outcome that is not known
/// (40003): the connection is as good as before.
const PASSING: [&str; 4] = ["53", "57014", "55P03", "40003"];

fn among(classes: &[&str], code: &str) -> bool {
    classes.iter().any(|class| code.starts_with(class))
}

/// The primary result code, where the database is SQLite.
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
