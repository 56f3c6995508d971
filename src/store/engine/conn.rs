//! One connection that a store function works on, and its transactions: `on!` runs a query on
//! whichever database it is of, `atomic` makes one step of several statements.

use std::borrow::Cow;
use std::pin::Pin;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;

use crate::model::kernel::time::Timestamp;
use crate::store::{Error, Result};

use super::asked::TimeSource;
use super::faults::{Fault, FaultPoint};
use super::query::on_handle;

/// Work on a connection that is not finished before its commit.
pub type Work<'c, T, E = Error> =
    Pin<Box<dyn Future<Output = std::result::Result<T, E>> + Send + 'c>>;

/// A connection that a store function works on.
pub struct Conn {
    pub(in crate::store) handle: Handle,
    /// Whether a transaction is open on it.
    pub(in crate::store) in_transaction: bool,
    /// The end of this connection's audit chain, while nothing was rolled back since it was
    /// written.
    pub(in crate::store) audit_tail: Option<(i64, [u8; 32])>,
    /// Which of its process's audit chains this connection writes: SQLite's one writer has one,
    /// each Postgres connection its own.
    pub(in crate::store) chain: Option<u64>,
    /// Whether a commit on it waits for the disk.
    pub(in crate::store) synced: bool,
    begin: Cow<'static, str>,
    /// Whether statements may be named (Postgres).
    pub(in crate::store) named: bool,
    clock: TimeSource,
    moment: Timestamp,
    /// What went wrong first with a statement of this piece of work. The work's own error may say
    /// less: a refusal is no reason to try again, a serialization failure is.
    failure: Option<Error>,
    faults: FaultPoint,
    access: Access,
}

/// What a piece of work may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Access {
    /// Look.
    Read,
    /// Change something; a test may make a statement of it fail.
    Write,
}

/// Whose it is.
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
        // A deferred transaction that turns to writing fails at once if somebody wrote meanwhile;
        // this one waits.
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

    /// The moment of this piece of work: when the writer took it up or, on Postgres, when its
    /// connection was held and its transaction had begun. Every decision of the work is made, and
    /// every row of it is stamped, with this time. The time at which the request arrived may be
    /// much earlier, because work waits for the writer or for a connection.
    pub fn now(&self) -> Timestamp {
        self.moment
    }

    /// A piece of work begins.
    pub(in crate::store) fn begin_work(&mut self, access: Access) {
        self.stamp();
        self.failure = None;
        self.access = access;
    }

    /// What went wrong first with a statement of the piece of work that has ended.
    pub(in crate::store) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    fn stamp(&mut self) {
        self.moment = self.clock.now();
    }

    /// A test makes this statement fail.
    pub(in crate::store) fn fault(&self) -> Option<Fault> {
        match self.access {
            Access::Read => None,
            Access::Write => self.faults.next(),
        }
    }

    /// Remembers what went wrong with a statement.
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

    /// Whether this is Postgres, where two texts stand side by side.
    pub(in crate::store) fn is_postgres(&self) -> bool {
        matches!(self.handle, Handle::Postgres(_))
    }

    /// Runs several statements as one step, inside the transaction that is open or in one of their
    /// own. Any `Err` of the work undoes the step.
    pub async fn atomic<T, E: From<Error>>(
        &mut self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E>,
    ) -> std::result::Result<T, E> {
        if self.in_transaction {
            return self.savepoint(work).await;
        }
        // From here on: a caller that hangs up while BEGIN is under way leaves a transaction open.
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
                // SQLite may have rolled back by itself, and then this fails; on Postgres the
                // connection is no good any more.
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
                // The database may have rolled back all of it, and then this fails: what went wrong
                // first is what counts.
                drop(self.execute("ROLLBACK TO step; RELEASE step").await);
                Err(error)
            }
        }
    }

    /// Whether the commits from here on wait for the disk (SQLite; on Postgres each transaction
    /// says so by itself). One that does takes all before it along.
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

    /// After a rollback only the table knows where the chain ends.
    pub(in crate::store) fn forget_audit_tail(&mut self) {
        self.audit_tail = None;
    }

    /// A piece of work that began with this end of the chain is rolled back. If no statement of it
    /// has failed, the chain ends again where it did.
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
