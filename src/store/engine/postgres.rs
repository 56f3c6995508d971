//! A pool of Postgres connections. sqlx's own pool tests a connection with a round trip each time
//! it is returned, which halves the rate of a short statement. Here a connection is tested before
//! use only if it was idle for some time; one that failed is closed together with all idle ones;
//! and while the server refuses connections, requests fail at once instead of waiting.
//!
//! Work that failed before anything was sent is run again, and so is what the server rolled back by
//! itself (serialization failure, deadlock). Work that may have been committed is never run again:
//! the caller gets `Unavailable`.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use crate::store::{Error, Result};

use super::asked::{Asked, not_begun};
use super::conn::{Conn, Handle, Work};
use super::faults::FaultPoint;
use super::lease::{Lease, Run};
use super::postgres_options::begin;
use super::write_options::{TransactionShape, WriteOptions, Written};
use crate::store::engine::options::Options;

/// A connection that was idle for longer is tested before use; under load none is idle that long.
const TRUSTED_REST: Duration = Duration::from_secs(1);

/// A connection that was idle for longer is closed.
const MAX_REST: Duration = Duration::from_secs(300);

/// A connection that is older is replaced, as load balancers and changes of roles require.
const MAX_AGE: Duration = Duration::from_secs(1_800);

const ATTEMPTS: u32 = 3;

/// Handle of the pool.
#[derive(Clone)]
pub struct Pool(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) connect: PgConnectOptions,
    pub(super) options: Options,
    resting: Mutex<Vec<Resting>>,
    permits: Arc<Semaphore>,
    pub(super) chains: AtomicU64,
    pub(super) shut_until: Mutex<Option<(Instant, String)>>,
    pub(super) begin: Cow<'static, str>,
}

struct Resting {
    conn: Conn,
    born: Instant,
    since: Instant,
    /// Whether its last read was cut off: it is tested before use, however short its idle time.
    suspect: bool,
}

impl Pool {
    pub(in crate::store) fn new(connect: PgConnectOptions, options: Options) -> Self {
        let permits = Arc::new(Semaphore::new(options.max_connections as usize));
        let begin = begin(&options);
        Self(Arc::new(Inner {
            connect,
            options,
            resting: Mutex::default(),
            permits,
            chains: AtomicU64::default(),
            shut_until: Mutex::default(),
            begin,
        }))
    }

    /// Returns how many connections are in use, and their maximum.
    pub(in crate::store) fn busy(&self) -> (usize, usize) {
        let count = self.0.options.max_connections as usize;
        (
            count.saturating_sub(self.0.permits.available_permits()),
            count,
        )
    }

    /// Returns the longest time that the server may work on one statement.
    pub(super) fn statement_timeout(&self) -> Duration {
        self.0.options.statement_timeout
    }

    /// Returns where tests make statements fail.
    pub(in crate::store) fn faults(&self) -> &FaultPoint {
        &self.0.options.faults
    }

    /// Runs a read; if the connection breaks during it, it is replaced and the read is run again.
    pub(in crate::store) async fn read<T, E, F>(&self, work: F) -> std::result::Result<T, E>
    where
        E: From<Error>,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E> + Clone,
    {
        let mut attempt = 1;
        loop {
            let mut lease = self.take().await?;
            let single = self.0.options.prepared_statements;
            let Written { outcome, failure } = lease.run(Run::Read { single }, work.clone()).await;
            lease.finish(failure.as_ref());
            match failure {
                Some(Error::Lost(_) | Error::NotBegun(_))
                    if outcome.is_err() && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                _ => return outcome,
            }
        }
    }

    /// Runs a write in a transaction or as a single statement. It is carried to its end even if the
    /// caller is dropped. Whether it is run again depends on the error of the database, not on the
    /// work's own.
    pub(in crate::store) async fn write<T, E, F>(
        &self,
        options: WriteOptions,
        work: F,
    ) -> Written<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E> + Clone + Send + 'static,
    {
        let run = Run::Write {
            single: options.shape == TransactionShape::Statement
                && self.0.options.prepared_statements,
            synced: options.synced,
        };
        let mut attempt = 1;
        let (_caller, asked) = Asked::now(&self.0.options.clock);
        let asked = Arc::new(asked);
        loop {
            let mut lease = match self.take().await {
                Ok(lease) => lease,
                Err(error) => return Written::failed(error),
            };
            let (piece, asked) = (work.clone(), Arc::clone(&asked));
            let running = tokio::spawn(async move {
                // Asked again here: the task may have waited, and the caller may have been dropped
                // meanwhile.
                let written = if asked.is_wanted() {
                    lease.run(run, piece).await
                } else {
                    Written::failed(not_begun())
                };
                lease.finish(written.failure.as_ref());
                written
            });
            let written = running
                .await
                .unwrap_or_else(|e| Written::failed(Error::Unavailable(e.to_string())));
            match &written.failure {
                Some(Error::NotBegun(_) | Error::RolledBack(_))
                    if written.outcome.is_err() && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                _ => return written,
            }
        }
    }

    /// Returns a usable connection within `acquire_timeout`: takes a permit, then an idle
    /// connection or a new one.
    async fn take(&self) -> Result<Lease> {
        let inner = &self.0;
        let end = Instant::now() + inner.options.acquire_timeout;
        if inner.permits.available_permits() == 0 {
            // Those who hold a permit are finding out whether the server is back; no others queue
            // for them.
            self.refuse_while_shut()?;
        }
        let permit = timeout_at(end.into(), Arc::clone(&inner.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| Error::Unavailable("every connection is busy".into()))?;
        let permit = permit.map_err(|_| Error::Unavailable("the database is closed".into()))?;
        let lease = |conn, born| Lease {
            conn: Some(conn),
            born,
            pool: self.clone(),
            _permit: permit,
        };
        // A broken connection may not answer the test: half of the time is reserved for a new one.
        let tested_by = Instant::now() + end.duration_since(Instant::now()) / 2;
        while let Some(mut resting) = self.pop() {
            let rested = resting.since.elapsed();
            if resting.born.elapsed() > MAX_AGE || rested > MAX_REST {
                continue;
            }
            if (rested < TRUSTED_REST && !resting.suspect)
                || self.answers(&mut resting.conn, tested_by).await
            {
                return Ok(lease(resting.conn, resting.born));
            }
            // The connection broke while idle, and the others most likely did, too.
            self.forget_resting();
        }
        let conn = self.connect(end).await?;
        Ok(lease(conn, Instant::now()))
    }

    async fn answers(&self, conn: &mut Conn, end: Instant) -> bool {
        let Handle::Postgres(connection) = &mut conn.handle else {
            return false;
        };
        matches!(timeout_at(end.into(), connection.ping()).await, Ok(Ok(())))
    }

    fn pop(&self) -> Option<Resting> {
        lock(&self.0.resting).pop()
    }

    pub(super) fn forget_resting(&self) {
        let dead = std::mem::take(&mut *lock(&self.0.resting));
        drop(dead);
    }

    pub(super) fn rest(&self, conn: Conn, born: Instant, suspect: bool) {
        let mut resting = lock(&self.0.resting);
        resting.push(Resting {
            conn,
            born,
            since: Instant::now(),
            suspect,
        });
        let stale = resting
            .iter()
            .take_while(|r| r.since.elapsed() > MAX_REST)
            .count();
        drop(resting.drain(..stale));
    }

    pub(in crate::store) async fn close(&self) {
        self.0.permits.close();
        let resting = std::mem::take(&mut *lock(&self.0.resting));
        for Resting { conn, .. } in resting {
            if let Handle::Postgres(connection) = conn.handle
                && let Err(error) = connection.close().await
            {
                tracing::debug!(%error, "a connection did not close cleanly");
            }
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use sqlx::ConnectOptions;

    use super::*;
    use crate::store::engine::postgres_options::connect_options;

    const CONFLICT: &str =
        "DO $$ BEGIN RAISE EXCEPTION 'another one came first' USING ERRCODE = '40001'; END $$";
    const DIE: &str = "SELECT pg_terminate_backend(pg_backend_pid())";

    #[expect(clippy::disallowed_methods, reason = "where the server is")]
    fn pool() -> Pool {
        let url = std::env::var("TEST_DATABASE_URL").expect("a server");
        let (url, options) = (url.parse().unwrap(), Options::default());
        Pool::new(connect_options(&url, &options).unwrap(), options)
    }

    /// Makes work that fails with this error at the first attempt and then succeeds; counts the
    /// attempts.
    fn failing_once(
        sql: &'static str,
        count: &Arc<AtomicU32>,
    ) -> impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, u32> + Clone + Send + use<> {
        let count = Arc::clone(count);
        move |conn| {
            Box::pin(async move {
                let attempt = count.fetch_add(1, Ordering::Relaxed) + 1;
                if attempt == 1 {
                    conn.execute(sql).await?;
                }
                conn.execute("SELECT 1").await?;
                Ok(attempt)
            })
        }
    }

    #[tokio::test]
    #[ignore = "needs TEST_DATABASE_URL; tests/all.sh runs it"]
    async fn what_the_server_rolled_back_by_itself_is_done_again() {
        let (pool, count) = (pool(), Arc::default());
        assert_eq!(
            pool.write(WriteOptions::STEPS, failing_once(CONFLICT, &count))
                .await
                .outcome
                .unwrap(),
            2
        );
    }

    /// An error of a flow, which says nothing about the database.
    #[derive(Debug, PartialEq)]
    struct Own;

    impl From<Error> for Own {
        fn from(_: Error) -> Self {
            Self
        }
    }

    #[tokio::test]
    #[ignore = "needs TEST_DATABASE_URL; tests/all.sh runs it"]
    async fn what_is_done_again_does_not_depend_on_the_work_s_own_error() {
        for (sql, expected, attempts) in [
            (CONFLICT, Ok(2), 2),
            (DIE, Err(Own), 1),
            ("SELECT 1 / 0", Err(Own), 1),
        ] {
            let (pool, count) = (pool(), Arc::<AtomicU32>::default());
            let counted = Arc::clone(&count);
            let written = pool.write(
                WriteOptions::STEPS,
                move |conn: &mut Conn| -> Work<'_, _, Own> {
                    Box::pin(async move {
                        let attempt = counted.fetch_add(1, Ordering::Relaxed) + 1;
                        if attempt == 1 {
                            conn.execute(sql).await?;
                        }
                        Ok(attempt)
                    })
                },
            );
            assert_eq!(written.await.outcome, expected, "{sql}");
            assert_eq!(count.load(Ordering::Relaxed), attempts, "{sql}");
        }
    }

    #[tokio::test]
    #[ignore = "needs TEST_DATABASE_URL; tests/all.sh runs it"]
    async fn what_may_have_been_committed_is_never_done_again_and_a_read_is() {
        let pool = pool();
        for shape in [TransactionShape::Statement, TransactionShape::Steps] {
            let count = Arc::default();
            let outcome = pool
                .write(
                    WriteOptions {
                        shape,
                        ..WriteOptions::STEPS
                    },
                    failing_once(DIE, &count),
                )
                .await
                .outcome;
            assert!(matches!(outcome, Err(Error::Lost(_))), "{outcome:?}");
            assert_eq!(count.load(Ordering::Relaxed), 1);
        }
        let count = Arc::default();
        assert_eq!(pool.read(failing_once(DIE, &count)).await.unwrap(), 2);
    }

    fn synchronous_commit(conn: &mut Conn) -> Work<'_, String> {
        Box::pin(async move {
            let Handle::Postgres(connection) = &mut conn.handle else {
                panic!("Postgres")
            };
            let (says,): (String,) = sqlx::query_as("SHOW synchronous_commit")
                .fetch_one(connection)
                .await?;
            Ok(says)
        })
    }

    #[tokio::test]
    #[ignore = "needs TEST_DATABASE_URL; tests/all.sh runs it"]
    async fn only_what_may_be_forgotten_does_not_wait_for_the_disk() {
        let pool = pool();
        for (synced, expected) in [(true, "on"), (false, "off"), (true, "on")] {
            assert_eq!(
                pool.write(
                    WriteOptions {
                        synced,
                        ..WriteOptions::STEPS
                    },
                    synchronous_commit
                )
                .await
                .outcome
                .unwrap(),
                expected
            );
        }
    }

    #[tokio::test]
    #[ignore = "needs TEST_DATABASE_URL; tests/all.sh runs it"]
    async fn a_connection_that_died_at_rest_is_replaced_before_anything_is_sent() {
        let pool = pool();
        let at_rest: Vec<_> = futures_util::future::join_all((0..3).map(|_| pool.take())).await;
        let pids = |mut lease: Lease| async move {
            let Some(Conn {
                handle: Handle::Postgres(connection),
                ..
            }) = &mut lease.conn
            else {
                panic!("a connection")
            };
            let (pid,): (i32,) = sqlx::query_as("SELECT pg_backend_pid()")
                .fetch_one(connection)
                .await
                .unwrap();
            pid
        };
        let pids: Vec<i32> =
            futures_util::future::join_all(at_rest.into_iter().map(|lease| pids(lease.unwrap())))
                .await;
        assert_eq!(lock(&pool.0.resting).len(), 3);
        let mut other = pool.0.connect.connect().await.unwrap();
        sqlx::query("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid")
            .bind(&pids)
            .execute(&mut other)
            .await
            .unwrap();
        let count = Arc::default();
        assert_eq!(
            pool.write(WriteOptions::STEPS, failing_once("SELECT 1", &count))
                .await
                .outcome
                .unwrap(),
            1,
            "the work itself was begun once"
        );
        assert_eq!(
            pool.read(failing_once("SELECT 1", &Arc::default()))
                .await
                .unwrap(),
            1
        );
    }

    #[tokio::test]
    #[ignore = "needs TEST_DATABASE_URL; tests/all.sh runs it"]
    async fn a_statement_over_its_time_costs_its_own_connection_and_no_other() {
        let pool = pool();
        let leases: Vec<_> = futures_util::future::join_all((0..3).map(|_| pool.take())).await;
        drop(leases);
        let slow = pool
            .write(WriteOptions::STEPS, |conn| {
                Box::pin(async move { conn.execute("SELECT pg_sleep(30)").await })
            })
            .await
            .outcome;
        assert!(matches!(slow, Err(Error::Unavailable(_))), "{slow:?}");
        assert!(lock(&pool.0.resting).len() >= 2);
        assert_eq!(
            pool.read(failing_once("SELECT 1", &Arc::default()))
                .await
                .unwrap(),
            1
        );
    }
}
