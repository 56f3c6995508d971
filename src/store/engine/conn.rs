//! One connection that a store function works on, and its transactions. `on!` runs a query on
//! either database, `atomic` combines several statements into one step.

use std::borrow::Cow;
use std::pin::Pin;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;

use crate::model::kernel::time::Timestamp;
use crate::store::{Error, Result};

use super::asked::TimeSource;
use super::faults::{Fault, FaultPoint};
use super::query::on_handle;

/// A piece of work on a connection, as a future; it is only complete after its commit.
pub type Work<'c, T, E = Error> =
    Pin<Box<dyn Future<Output = std::result::Result<T, E>> + Send + 'c>>;

/// A connection that a store function works on.
pub struct Conn {
    pub(in crate::store) handle: Handle,
    /// Whether a transaction is open on the connection.
    pub(in crate::store) in_transaction: bool,
    /// The end of this connection's audit chain. `None` if it has to be read from the table, such
    /// as after a rollback.
    pub(in crate::store) audit_tail: Option<(i64, [u8; 32])>,
    /// The audit chain of the process that this connection writes: SQLite's single writer has one,
    /// each Postgres connection has its own.
    pub(in crate::store) chain: Option<u64>,
    /// Whether a commit on the connection waits for the disk.
    pub(in crate::store) synced: bool,
    begin: Cow<'static, str>,
    /// Whether statements may be named (Postgres).
    pub(in crate::store) named: bool,
    clock: TimeSource,
    moment: Timestamp,
    /// The first error of a statement of this piece of work. The work's own error may say less: a
    /// refusal is not a reason to try again, but a serialization failure is.
    failure: Option<Error>,
    faults: FaultPoint,
    access: Access,
}

/// What a piece of work is allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Access {
    /// It only reads.
    Read,
    /// It may write; tests can make one of its statements fail.
    Write,
}

/// The connection, by kind of database.
pub(in crate::store) enum Handle {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Conn {
    pub(in crate::store) fn sqlite(
        connection: SqliteConnection,
        clock: TimeSource,
        faults: FaultPoint,
    ) -> Self {
        // A deferred transaction that starts to write fails at once if another one has written
        // meanwhile; `BEGIN IMMEDIATE` waits.
        Self {
            handle: Handle::Sqlite(connection),
            in_transaction: false,
            audit_tail: None,
            chain: None,
            synced: true,
            begin: "BEGIN IMMEDIATE".into(),
            named: true,
            moment: clock.now(),
            clock,
            failure: None,
            faults,
            access: Access::Read,
        }
    }

    pub(in crate::store) fn postgres(
        connection: PgConnection,
        chain: u64,
        begin: Cow<'static, str>,
        named: bool,
        clock: TimeSource,
        faults: FaultPoint,
    ) -> Self {
        let handle = Handle::Postgres(connection);
        let moment = clock.now();
        Self {
            handle,
            in_transaction: false,
            audit_tail: None,
            chain: Some(chain),
            synced: true,
            begin,
            named,
            clock,
            moment,
            failure: None,
            faults,
            access: Access::Read,
        }
    }

    /// Returns the time of this piece of work: when the writer began it or, on Postgres, when its
    /// transaction had begun. Every decision of the work is made with this time, and every row is
    /// stamped with it. The time at which the request arrived may be much earlier, because work
    /// waits for the writer or for a connection.
    pub fn now(&self) -> Timestamp {
        self.moment
    }

    /// Prepares the connection for a new piece of work.
    pub(in crate::store) fn begin_work(&mut self, access: Access) {
        self.stamp();
        self.failure = None;
        self.access = access;
    }

    /// Takes the first error of a statement of the piece of work that has ended.
    pub(in crate::store) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    fn stamp(&mut self) {
        self.moment = self.clock.now();
    }

    /// Returns the fault of a test if it makes this statement fail.
    pub(in crate::store) fn fault(&self) -> Option<Fault> {
        match self.access {
            Access::Read => None,
            Access::Write => self.faults.next(),
        }
    }

    /// Records the error of a statement, if it is the first.
    pub(in crate::store) fn note<T>(
        &mut self,
        outcome: std::result::Result<T, sqlx::Error>,
    ) -> std::result::Result<T, sqlx::Error> {
        if let Err(error) = &outcome
            && self.failure.is_none()
        {
            self.failure = Some(Error::of(error));
        }
        outcome
    }

    /// Returns whether this is Postgres, for statements whose SQL differs.
    pub(in crate::store) fn is_postgres(&self) -> bool {
        matches!(self.handle, Handle::Postgres(_))
    }

    /// Runs several statements as one step, inside the open transaction or in one of their own. Any
    /// `Err` of the work rolls the step back.
    pub async fn atomic<T, E: From<Error>>(
        &mut self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E>,
    ) -> std::result::Result<T, E> {
        if self.in_transaction {
            return self.savepoint(work).await;
        }
        // Set before the statement is sent: a caller that is cancelled during BEGIN leaves a
        // transaction open.
        self.in_transaction = true;
        let begin = if self.is_postgres() && !self.synced {
            format!("{}; SET LOCAL synchronous_commit = off", self.begin).into()
        } else {
            self.begin.clone()
        };
        if let Err(error) = self.execute(begin).await {
            self.in_transaction = false;
            let error = error.before_anything();
            self.failure = Some(error.clone());
            return Err(error.into());
        }
        self.stamp();
        let tail = self.audit_tail;
        match work(self).await {
            Ok(value) => {
                let committed = self.execute("COMMIT").await;
                self.in_transaction = false;
                committed
                    .inspect_err(|_| self.forget_audit_tail())
                    .map_err(E::from)
                    .map(|()| value)
            }
            Err(error) => {
                self.undo_audit_tail(tail);
                // SQLite may have rolled back by itself, and then this fails; on Postgres a failure
                // means that the connection is broken.
                let undone = self.execute("ROLLBACK").await;
                self.in_transaction = undone.is_err() && self.is_postgres();
                Err(error)
            }
        }
    }

    async fn savepoint<T, E: From<Error>>(
        &mut self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E>,
    ) -> std::result::Result<T, E> {
        self.execute("SAVEPOINT step").await?;
        let tail = self.audit_tail;
        match work(self).await {
            Ok(value) => {
                self.execute("RELEASE step").await?;
                Ok(value)
            }
            Err(error) => {
                self.undo_audit_tail(tail);
                // The database may have rolled back the whole transaction, and then this fails; the
                // first error is the one to report.
                drop(self.execute("ROLLBACK TO step; RELEASE step").await);
                Err(error)
            }
        }
    }

    /// Sets whether the commits from here on wait for the disk (SQLite; on Postgres each
    /// transaction sets it). A commit that waits also syncs all commits before it.
    pub(in crate::store) async fn sync(&mut self, synced: bool) -> Result<()> {
        if self.synced != synced {
            self.execute(if synced {
                "PRAGMA synchronous = FULL"
            } else {
                "PRAGMA synchronous = NORMAL"
            })
            .await?;
            self.synced = synced;
        }
        Ok(())
    }

    /// Forgets the end of the audit chain, so that it is read from the table again, as after a
    /// rollback.
    pub(in crate::store) fn forget_audit_tail(&mut self) {
        self.audit_tail = None;
    }

    /// Restores the end of the audit chain after a piece of work was rolled back. `before` is the
    /// end when the work began; it is still valid if no statement of the work has failed.
    pub(in crate::store) fn undo_audit_tail(&mut self, before: Option<(i64, [u8; 32])>) {
        self.audit_tail = before.filter(|_| self.failure.is_none());
    }

    pub(in crate::store) async fn execute(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
    ) -> Result<()> {
        let sql = sqlx::AssertSqlSafe(sql.into().into_owned());
        let outcome = on_handle!(self, c => sqlx::raw_sql(sql).execute(c).await.map(|_| ()));
        Ok(self.note(outcome)?)
    }
}
