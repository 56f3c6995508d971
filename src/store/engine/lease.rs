//! A Postgres connection at work: it runs one piece within its time and goes back to rest if it is
//! as good as before.

use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::store::Error;

use super::conn::{Access, Conn, Work};
use super::postgres::Pool;
use super::write_options::Written;

/// What a transaction may take beyond the server's own limit for a statement before the connection
/// is given up.
const SLACK: Duration = Duration::from_millis(500);

/// A connection at work, and the place that it takes.
pub(super) struct Lease {
    pub(super) conn: Option<Conn>,
    pub(super) born: Instant,
    pub(super) pool: Pool,
    pub(super) _place: OwnedSemaphorePermit,
}

/// How a piece of work runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// `single`: without a transaction of its own.
    Read { single: bool },
    /// `single`: as the work's own statement; `synced`: its commit waits for the disk.
    Write { single: bool, synced: bool },
}

impl Lease {
    /// Does the work, within its time: as it is, or inside BEGIN … COMMIT.
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
        // The others may be well, and nobody has the time to try again: this connection alone is
        // given up.
        written.unwrap_or_else(|_| {
            self.conn = None;
            Written::failed(Error::Unavailable(
                "the database did not answer in time".into(),
            ))
        })
    }

    /// Gives the connection back if it is as good as before.
    pub(super) fn settle(&mut self, failure: Option<&Error>) {
        let Some(conn) = self.conn.take() else { return };
        // One that may not write says so until it is opened anew: after a failover, or when the
        // role may write again.
        let broken = conn.in_transaction
            || matches!(
                failure,
                Some(Error::Lost(_) | Error::NotBegun(_) | Error::Unwritable(_))
            );
        if broken {
            // What took this one away has most likely taken those at rest too: each would cost a
            // request to find out.
            self.pool.forget_resting();
        } else {
            self.pool.rest(conn, self.born, false);
        }
    }
}

impl Drop for Lease {
    /// A read whose caller hung up: the connection is good, but its answer is still under way. In a
    /// transaction it is given up.
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
