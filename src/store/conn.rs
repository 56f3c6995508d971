//! One connection that a store function works on, and its transactions: `on!` runs a query on whichever database it is of,
//! `atomic` makes one step of several statements.

use std::pin::Pin;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;

use super::{Error, Result};

/// Work on a connection that is not finished before its commit.
pub type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// A connection that a store function works on.
pub struct Conn {
    pub(super) handle: Handle,
    /// Whether a transaction is open on it.
    pub(super) in_transaction: bool,
    /// The end of this connection's audit chain, while nothing was rolled back since it was written.
    pub(super) audit_tail: Option<(i64, [u8; 32])>,
    /// Which of its process's audit chains this connection writes: SQLite's one writer has one, each Postgres connection its own.
    pub(super) chain: Option<u64>,
    begin: &'static str,
    /// Whether statements may be named (Postgres).
    pub(super) named: bool,
}

/// Whose it is.
pub(super) enum Handle {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Runs a query on whichever database the connection is of: `on!(conn, c => query.fetch_one(c).await)`.
macro_rules! on {
    ($conn:expr, $c:ident => $query:expr) => {
        match &mut $conn.handle {
            $crate::store::conn::Handle::Sqlite(connection) => {
                let $c = &mut *connection;
                $query
            }
            $crate::store::conn::Handle::Postgres(connection) => {
                let $c = $crate::store::session::Session { connection, named: $conn.named };
                $query
            }
        }
    };
}
pub(crate) use on;

impl Conn {
    pub(super) fn sqlite(connection: SqliteConnection) -> Self {
        // A deferred transaction that turns to writing fails at once if somebody wrote meanwhile; this one waits.
        Self { handle: Handle::Sqlite(connection), in_transaction: false, audit_tail: None, chain: None, begin: "BEGIN IMMEDIATE", named: true }
    }

    pub(super) fn postgres(connection: PgConnection, chain: u64, named: bool) -> Self {
        Self { handle: Handle::Postgres(connection), in_transaction: false, audit_tail: None, chain: Some(chain), begin: "BEGIN", named }
    }

    /// Whether this is Postgres, where two texts stand side by side.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.handle, Handle::Postgres(_))
    }

    /// Several statements as one step, inside a transaction that is open or in one of their own.
    pub async fn atomic<T>(&mut self, work: impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, T>) -> Result<T> {
        if self.in_transaction {
            return self.bracket("SAVEPOINT step", "RELEASE step", "ROLLBACK TO step; RELEASE step", work).await;
        }
        let outcome = self.bracket(self.begin, "COMMIT", "ROLLBACK", work).await;
        self.in_transaction = false;
        outcome
    }

    async fn bracket<T>(
        &mut self,
        begin: &'static str,
        commit: &'static str,
        rollback: &'static str,
        work: impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, T>,
    ) -> Result<T> {
        self.execute(begin).await.map_err(Error::before_anything)?;
        self.in_transaction = true;
        match work(self).await {
            Ok(value) => self.execute(commit).await.map(|()| value).inspect_err(|_| self.audit_tail = None),
            Err(error) => {
                self.forget_audit_tail();
                // The database may have rolled back by itself, and then this fails: what went wrong first is what counts.
                drop(self.execute(rollback).await);
                Err(error)
            }
        }
    }

    /// After a rollback only the table knows where the chain ends.
    pub(super) fn forget_audit_tail(&mut self) {
        self.audit_tail = None;
    }

    pub(super) async fn execute(&mut self, sql: &'static str) -> Result<()> {
        on!(self, c => sqlx::raw_sql(sql).execute(c).await.map(|_| ()))?;
        Ok(())
    }
}
