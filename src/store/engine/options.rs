//! How a database is used: pool, timeouts, migrations.

use std::time::Duration;

use super::asked::TimeSource;
use super::faults::FaultPoint;
use crate::model::kernel::database_url::PostgresUrl;

/// Options for opening and using a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of connections: for reading (SQLite) or in total (Postgres).
    pub max_connections: u32,
    /// The longest wait for a free or a new connection.
    pub acquire_timeout: Duration,
    /// The longest time that the server may work on one statement (Postgres).
    pub statement_timeout: Duration,
    /// The longest wait for a lock that another transaction holds.
    pub lock_timeout: Duration,
    /// If off, every piece of work is a transaction without named statements, as a pooler in
    /// transaction mode requires (Postgres).
    pub prepared_statements: bool,
    /// URL that bypasses the pooler, for what needs a session of its own: notifications and
    /// migrations (Postgres).
    pub direct_url: Option<PostgresUrl>,
    /// Whether to migrate the schema at start. If off, it must have the current version or one that
    /// can be served.
    pub migrate: bool,
    /// The clock that the connections read.
    pub clock: TimeSource,
    /// Where tests make statements fail.
    pub faults: FaultPoint,
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
            faults: FaultPoint::default(),
        }
    }
}
