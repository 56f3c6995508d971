//! Statements that lock the rows which they read. SQLite has one writer, so its rows need no lock;
//! on Postgres a row stays locked until the transaction ends.

use super::conn::Conn;

/// One statement in the form of each database.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Locking {
    pub(in crate::store) sqlite: &'static str,
    pub(in crate::store) postgres: &'static str,
}

impl Locking {
    /// Returns the statement for the database of this connection.
    pub(in crate::store) fn on(self, conn: &Conn) -> &'static str {
        if conn.is_postgres() {
            self.postgres
        } else {
            self.sqlite
        }
    }
}

/// Locks the rows of a `SELECT`, and waits for a transaction that has locked one of them.
macro_rules! locking {
    ($select:expr) => {
        $crate::store::engine::row_locks::Locking {
            sqlite: concat!($select),
            postgres: concat!($select, " FOR UPDATE"),
        }
    };
}

/// Locks the rows of an inner `SELECT` with which `$before` ends, and leaves out those that another
/// transaction has locked: `skipping!("DELETE … WHERE id IN (SELECT …", ")")`. Two processes that
/// do the same work at once wait neither for each other nor for requests.
macro_rules! skipping {
    ($before:expr, $after:expr) => {
        $crate::store::engine::row_locks::Locking {
            sqlite: concat!($before, $after),
            postgres: concat!($before, " FOR UPDATE SKIP LOCKED", $after),
        }
    };
}

pub(in crate::store) use {locking, skipping};
