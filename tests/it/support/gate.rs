//! A gate before the writes of a database: a test closes it, starts requests one after the other,
//! each once the one before has arrived there, and opens it. So the order of their writes is the
//! test's choice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::store::{self, Conn};
use sqlx::{AnyConnection, AssertSqlSafe};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{TestApp, on_postgres};

/// A closed gate.
pub enum Gate {
    /// SQLite: a piece of work that occupies the one writer until there is a permit.
    Writer {
        opens: Arc<Semaphore>,
        work: JoinHandle<store::Result<()>>,
    },
    /// Postgres: a transaction that holds a row lock; its process there.
    Row(Box<AnyConnection>, i32),
}

impl Gate {
    /// Closes the gate. On Postgres it stands before one row (`table WHERE …`), on SQLite before
    /// every write.
    pub async fn close(app: &TestApp, row: &str) -> Self {
        if !on_postgres() {
            let (opens, closed) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
            let (app, begun, until) = (app.app.clone(), closed.clone(), opens.clone());
            let work = tokio::spawn(async move {
                app.db
                    .write(move |_: &mut Conn| {
                        Box::pin(async move {
                            begun.add_permits(1);
                            drop(until.acquire().await);
                            Ok(())
                        })
                    })
                    .await
            });
            drop(closed.acquire().await.unwrap());
            return Self::Writer { opens, work };
        }
        let mut connection = app.db().await;
        let lock = format!("BEGIN; SELECT 1 FROM {row} FOR UPDATE");
        sqlx::raw_sql(AssertSqlSafe(lock))
            .execute(&mut connection)
            .await
            .unwrap();
        let process = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        Self::Row(Box::new(connection), process)
    }

    /// Waits until so many writes have arrived at the gate, or behind one that has.
    #[track_caller]
    pub fn arrived(&self, app: &TestApp, count: i64) -> impl Future<Output = ()> {
        const WAITING: &str = "WITH RECURSIVE waiting(pid) AS (
                SELECT pid FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))
                UNION SELECT a.pid FROM pg_stat_activity a JOIN waiting w ON w.pid = ANY(pg_blocking_pids(a.pid)))
            SELECT COUNT(*) FROM waiting";
        let caller = std::panic::Location::caller();
        let process = match self {
            Self::Writer { .. } => None,
            Self::Row(_, process) => Some(*process),
        };
        let app = app.clone();
        async move {
            let deadline = Instant::now() + Duration::from_secs(20);
            let mut db = if process.is_some() {
                Some(app.db().await)
            } else {
                None
            };
            loop {
                let waiting = match &mut db {
                    Some(db) => sqlx::query_scalar(WAITING)
                        .bind(process)
                        .fetch_one(db)
                        .await
                        .unwrap(),
                    None => i64::try_from(app.app.db.queued_writes()).unwrap(),
                };
                if waiting == count {
                    return;
                }
                assert!(
                    Instant::now() < deadline,
                    "{waiting} of {count} writes arrived, {caller}"
                );
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    /// Opens the gate: what waits goes on, in the order of its arrival.
    pub async fn open(self) {
        match self {
            Self::Writer { opens, work } => {
                opens.add_permits(1);
                work.await.unwrap().unwrap();
            }
            Self::Row(mut connection, _) => {
                sqlx::raw_sql("COMMIT")
                    .execute(&mut *connection)
                    .await
                    .unwrap();
            }
        }
    }
}

/// Runs two requests of which the first one's write is done before the second one's. Each names the
/// row at which it waits on Postgres. Where the rows differ, both statements have begun before
/// either goes on.
pub async fn in_order<A, B>(
    app: &TestApp,
    (first_row, first): (&str, impl Future<Output = A> + Send + 'static),
    (second_row, second): (&str, impl Future<Output = B> + Send + 'static),
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    let gate = Gate::close(app, first_row).await;
    let own = on_postgres() && first_row != second_row;
    let second_gate = if own {
        Some(Gate::close(app, second_row).await)
    } else {
        None
    };
    let first = tokio::spawn(first);
    gate.arrived(app, 1).await;
    let second = tokio::spawn(second);
    if let Some(second_gate) = second_gate {
        second_gate.arrived(app, 1).await;
        gate.open().await;
        let first = first.await.unwrap();
        second_gate.open().await;
        return (first, second.await.unwrap());
    }
    gate.arrived(app, 2).await;
    gate.open().await;
    let (first, second) = tokio::join!(first, second);
    (first.unwrap(), second.unwrap())
}
