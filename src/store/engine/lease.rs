//! A Postgres connection in use: it runs one piece of work within its time limit and is returned to
//! the pool if it is still usable.

use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::store::Error;

use super::conn::{Access, Conn, Work};
use super::postgres::Pool;
use super::write_options::Written;

/// The time that a transaction may take beyond the server's limit for a statement before the
/// connection is given up.
const SLACK: Duration = Duration::from_millis(500);

/// A connection in use, and its permit.
pub(super) struct Lease {
    pub(super) conn: Option<Conn>,
    pub(super) born: Instant,
    pub(super) pool: Pool,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// How a piece of work is run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// A read. `single`: without a transaction of its own.
    Read { single: bool },
    /// A write. `single`: it is one statement; `synced`: its commit waits for the disk.
    Write { single: bool, synced: bool },
}

impl Lease {
    /// Runs the work within its time limit, as it is or inside BEGIN … COMMIT.
    pub(super) async fn run<T, E: From<Error>>(
        &mut self,
        run: Run,
        work: impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E>,
    ) -> Written<T, E> {
        let limit = self.pool.statement_timeout() + SLACK;
        let Some(conn) = &mut self.conn else {
            return Written::failed(Error::Unavailable("the connection is gone".into()));
        };
        let (single, synced, access) = match run {
            Run::Read { single } => (single, true, Access::Read),
            Run::Write { single, synced } => (single, synced, Access::Write),
        };
        conn.synced = synced;
        conn.begin_work(access);
        let running = async {
            let outcome = if single {
                work(conn).await
            } else {
                conn.atomic(work).await
            };
            Written {
                outcome,
                failure: conn.take_failure(),
            }
        };
        let written = timeout(limit, running).await;
        // Other connections may work, and there is no time to try again: only this connection is
        // given up.
        written.unwrap_or_else(|_| {
            self.conn = None;
            Written::failed(Error::Unavailable(
                "the database did not answer in time".into(),
            ))
        })
    }

    /// Returns the connection to the pool if it is still usable.
    pub(super) fn finish(&mut self, failure: Option<&Error>) {
        let Some(conn) = self.conn.take() else { return };
        // A connection that may not write stays so until it is reopened: after a failover, or when
        // the role has regained its rights.
        let broken = conn.in_transaction
            || matches!(
                failure,
                Some(Error::Lost(_) | Error::NotBegun(_) | Error::Unwritable(_))
            );
        if broken {
            // What broke this connection has most likely broken the idle ones, too; each of them
            // would cost a request to find out.
            self.pool.forget_resting();
        } else {
            self.pool.rest(conn, self.born, false);
        }
    }
}

impl Drop for Lease {
    /// Handles a read whose caller was dropped: the connection is usable, but its answer is still
    /// on the way. If a transaction is open, the connection is given up.
    fn drop(&mut self) {
        if let Some(conn) = self
            .conn
            .take()
            .filter(|c| !c.in_transaction && !std::thread::panicking())
        {
            self.pool.rest(conn, self.born, true);
        }
    }
}
