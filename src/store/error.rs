//! What can go wrong with the database. "Not found" is `Option`, not an error.

/// The one error of this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Away, overloaded or locked; nothing was changed that was answered. Try again.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The connection is gone; what it was last asked may have been done. It and those at rest are thrown away.
    #[error("the database is not available: {0}")]
    Lost(String),
    /// No transaction was begun: nothing was sent, and the work may be done again.
    #[error("the database is not available: {0}")]
    NotBegun(String),
    /// The database undid the whole transaction to let another one pass (serialization failure, deadlock); it may be done again.
    #[error("the database is too busy: {0}")]
    RolledBack(String),
    /// The work itself refused; what it had written is undone ([`super::Db::write_unless_refused`]).
    #[error("refused")]
    Refused,
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
    #[error("the database schema has migration {0}, which this program does not know; use a newer countersign")]
    SchemaTooNew(i64),
    /// The schema could not be brought up to date.
    #[error("migration failed: {0}")]
    Migration(String),
    /// The URL is none that this version serves.
    #[error("{0}")]
    Unsupported(String),
    /// Anything else.
    #[error("database error: {0}")]
    Other(#[source] sqlx::Error),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

/// SQLite: BUSY, LOCKED, FULL, IOERR, CANTOPEN, READONLY and their extended codes share the low byte.
const TEMPORARY: [u32; 6] = [5, 6, 8, 10, 13, 14];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Tls(_) => {
                Self::Lost(error.to_string())
            }
            sqlx::Error::Database(db) if db.is_unique_violation() => Self::Conflict,
            sqlx::Error::Database(db) if undone(db.as_ref()) => Self::RolledBack(error.to_string()),
            sqlx::Error::Database(db) if sqlstate(db.as_ref()).is_some_and(|code| among(&GONE, code)) => Self::Lost(error.to_string()),
            sqlx::Error::Database(db) if is_temporary(db.as_ref()) => Self::Unavailable(error.to_string()),
            _ => Self::Other(error),
        }
    }
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

fn sqlstate(error: &dyn sqlx::error::DatabaseError) -> Option<&str> {
    error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().map(sqlx::postgres::PgDatabaseError::code)
}

/// serialization_failure, deadlock_detected.
fn undone(error: &dyn sqlx::error::DatabaseError) -> bool {
    sqlstate(error).is_some_and(|code| matches!(code, "40001" | "40P01"))
}

/// Postgres: connection lost (08), stopping or starting (57P), a server that was demoted (25006).
const GONE: [&str; 3] = ["08", "57P", "25006"];
/// Out of something (53), an operator or a limit (57014, 55P03), a disk (58), an outcome that is not known (40003): the connection is as good
/// as before.
const PASSING: [&str; 5] = ["53", "57014", "55P03", "58", "40003"];

fn among(classes: &[&str], code: &str) -> bool {
    classes.iter().any(|class| code.starts_with(class))
}

fn is_temporary(error: &dyn sqlx::error::DatabaseError) -> bool {
    if let Some(code) = sqlstate(error) {
        return among(&PASSING, code);
    }
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some()
        && error.code().and_then(|c| c.parse::<u32>().ok()).is_some_and(|code| TEMPORARY.contains(&(code & 0xFF)))
}
