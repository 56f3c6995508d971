//! Group commit on SQLite: one task owns the one writing connection, takes what is queued, runs
//! each piece in its own savepoint and commits once. An answer leaves only after that commit; if it
//! fails, everybody in the batch hears `Unavailable`. Measured against one commit a piece: four
//! times the rate at `synchronous=FULL`.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::asked::{Asked, TimeSource, not_begun};
use super::conn::{Access, Conn, Handle, Work};
use super::db::{Options, TransactionShape, WriteOptions, Written};
use super::faults::FaultPoint;
use super::lanes::{BATCH, Entrances, Lane, Lanes, Waiting};
use crate::store::{Error, Result};

/// Tells the caller the outcome, once the commit is known.
type Answer = Box<dyn FnOnce(Result<()>) + Send>;
/// What is to become of a piece, and its answer.
type Done = (Fate, Answer);
type Run =
    Box<dyn for<'c> FnOnce(&'c mut Conn) -> Pin<Box<dyn Future<Output = Done> + Send + 'c>> + Send>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    /// The work refused, and the database did what it was asked.
    Refuse,
    /// A statement failed.
    Undo,
    /// It stopped anywhere; nobody knows what is open on the connection.
    Panicked,
}

struct Piece {
    options: WriteOptions,
    asked: Asked,
    run: Run,
}

enum Message {
    Piece(Piece),
    Close(oneshot::Sender<()>),
}

impl Waiting for Message {
    fn batch_delay(&self) -> Duration {
        match self {
            Self::Piece(piece) => piece.options.batch_delay,
            Self::Close(_) => Duration::ZERO,
        }
    }

    fn waited(&self) -> Duration {
        match self {
            Self::Piece(piece) => piece.asked.waited(),
            Self::Close(_) => Duration::ZERO,
        }
    }
}

/// Handle of the task.
#[derive(Clone)]
pub struct Writer {
    entrances: Entrances<Message>,
    clock: TimeSource,
    faults: FaultPoint,
}

impl Writer {
    /// Starts the task; it ends with its last handle.
    pub(in crate::store) fn start(connection: SqliteConnection, options: &Options) -> Self {
        let (entrances, lanes) = Lanes::new();
        let (clock, faults) = (options.clock.clone(), options.faults.clone());
        let conn = Conn::sqlite(connection, clock.clone(), faults.clone());
        tokio::spawn(serve(conn, lanes));
        Self {
            entrances,
            clock,
            faults,
        }
    }

    /// Where a test makes statements fail.
    pub(in crate::store) fn faults(&self) -> &FaultPoint {
        &self.faults
    }

    /// How many pieces wait.
    pub(in crate::store) fn queued(&self) -> usize {
        self.entrances.queued()
    }

    pub(in crate::store) async fn run<T, E, F>(
        &self,
        options: WriteOptions,
        work: F,
    ) -> Written<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> Work<'c, T, E> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let run: Run = Box::new(move |conn| {
            Box::pin(async move {
                // A panic in one piece is that piece's error, not everybody's.
                let outcome = AssertUnwindSafe(work(conn)).catch_unwind().await;
                let failure = conn.take_failure();
                let fate = match (&outcome, &failure) {
                    (Ok(Ok(_)), _) => Fate::Keep,
                    (Ok(Err(_)), None) => Fate::Refuse,
                    (Ok(Err(_)), Some(_)) => Fate::Undo,
                    (Err(_), _) => Fate::Panicked,
                };
                let written = match outcome {
                    Ok(outcome) => Written { outcome, failure },
                    Err(_) => Written::failed(Error::Unavailable("the write panicked".into())),
                };
                let answer: Answer = Box::new(move |committed| {
                    let told = match committed {
                        Ok(()) => written,
                        Err(error) => Written::failed(error),
                    };
                    // Nobody waits any more: the commit stands all the same.
                    drop(sender.send(told));
                });
                (fate, answer)
            })
        });
        let (_caller, asked) = Asked::now(&self.clock);
        let message = Message::Piece(Piece {
            options,
            asked,
            run,
        });
        if self.entrances.of(options.lane).try_send(message).is_err() {
            return Written::failed(Error::Unavailable("the write queue is full".into()));
        }
        // Dropped without an answer: it waited too long, or the writer has stopped.
        receiver
            .await
            .unwrap_or_else(|_| Written::failed(not_begun()))
    }

    pub(in crate::store) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        let requests = self.entrances.of(Lane::Requests);
        if requests.send(Message::Close(done)).await.is_ok() {
            drop(closed.await);
        }
    }
}

async fn serve(mut conn: Conn, mut lanes: Lanes<Message>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while lanes.gather(&mut waiting).await {
        let mut pieces = Vec::with_capacity(waiting.len());
        let mut close = None;
        for message in waiting.drain(..) {
            match message {
                Message::Piece(piece) => pieces.push(piece),
                Message::Close(done) => close = Some(done),
            }
        }
        if !pieces.is_empty() {
            commit_together(&mut conn, pieces).await;
        }
        if let Some(done) = close {
            if let Handle::Sqlite(connection) = conn.handle {
                drop(sqlx::Connection::close(connection).await);
            }
            done.send(()).unwrap_or(());
            return;
        }
    }
}

async fn commit_together(conn: &mut Conn, mut pieces: Vec<Piece>) {
    // Before anything is begun for them; a piece that becomes too old behind others of its batch is
    // left out there.
    pieces.retain(|piece| piece.asked.is_wanted());
    if pieces.is_empty() {
        return;
    }
    let mut answers = Vec::with_capacity(pieces.len());
    let committed = run_batch(conn, pieces, &mut answers).await;
    for answer in answers {
        answer(committed.as_ref().copied().map_err(Error::for_everyone));
    }
}

/// Runs all pieces and commits; an error means that none of them is kept.
async fn run_batch(conn: &mut Conn, pieces: Vec<Piece>, answers: &mut Vec<Answer>) -> Result<()> {
    let alone = pieces.len() == 1;
    // One who waits for the disk is enough: it is one commit for all.
    let synced = pieces.iter().any(|piece| piece.options.synced);
    if let Err(error) = conn.sync(synced).await {
        // Something is still open: it cannot be said inside a transaction.
        drop(conn.execute("ROLLBACK").await);
        conn.forget_audit_tail();
        conn.in_transaction = false;
        return Err(error);
    }
    if alone
        && pieces
            .iter()
            .all(|piece| piece.options.shape == TransactionShape::Statement)
    {
        // SQLite's own transaction around the one statement: a third of the round trips.
        for piece in pieces {
            let tail = conn.audit_tail;
            conn.begin_work(Access::Write);
            let (fate, answer) = (piece.run)(conn).await;
            answers.push(answer);
            // Also after a panic inside a step.
            conn.in_transaction = false;
            if fate == Fate::Refuse {
                // Its own step has been rolled back, and nothing else was written.
                conn.undo_audit_tail(tail);
            } else if fate != Fate::Keep {
                // Usually there is nothing left to roll back, and then this fails: what matters is
                // that nothing stays open.
                drop(conn.execute("ROLLBACK").await);
                conn.forget_audit_tail();
            }
        }
        return Ok(());
    }
    let outcome = if alone {
        run_alone(conn, pieces, answers).await
    } else {
        run_pieces(conn, pieces, answers).await
    };
    if let Err(error) = &outcome {
        tracing::error!(%error, pieces = answers.len(), "a batch of writes was not committed");
        // After some errors SQLite has rolled back by itself, and then this one fails: that is the
        // state we want.
        drop(conn.execute("ROLLBACK").await);
        conn.forget_audit_tail();
    }
    conn.in_transaction = false;
    outcome
}

/// A piece by itself needs no savepoint: the transaction is its own.
async fn run_alone(conn: &mut Conn, pieces: Vec<Piece>, answers: &mut Vec<Answer>) -> Result<()> {
    conn.execute("BEGIN IMMEDIATE").await?;
    conn.in_transaction = true;
    let mut end = "COMMIT";
    for piece in pieces {
        // After `BEGIN`, which may have waited for another process.
        if !piece.asked.is_wanted() {
            end = "ROLLBACK";
            continue;
        }
        let tail = conn.audit_tail;
        conn.begin_work(Access::Write);
        let (fate, answer) = (piece.run)(conn).await;
        answers.push(answer);
        if fate != Fate::Keep {
            undo_audit_tail(conn, fate, tail);
            end = "ROLLBACK";
        }
    }
    match conn.execute(end).await {
        Err(error) if end == "COMMIT" => Err(error),
        // Whatever SQLite says to a rollback, nothing of it is kept.
        _ => Ok(()),
    }
}

/// The piece is rolled back: after a refusal the audit chain ends where it did before the piece;
/// after anything else only the table knows.
fn undo_audit_tail(conn: &mut Conn, fate: Fate, before: Option<(i64, [u8; 32])>) {
    if fate == Fate::Refuse {
        conn.undo_audit_tail(before);
    } else {
        conn.forget_audit_tail();
    }
}

/// Each in its own savepoint. What ends a piece is sent with what begins the next: the way to
/// SQLite's thread costs more than either.
async fn run_pieces(conn: &mut Conn, pieces: Vec<Piece>, answers: &mut Vec<Answer>) -> Result<()> {
    let mut before = "BEGIN IMMEDIATE; ";
    for Piece {
        options: WriteOptions { shape, .. },
        asked,
        run,
    } in pieces
    {
        if !asked.is_wanted() {
            continue;
        }
        match shape {
            TransactionShape::Steps => conn.execute(format!("{before}SAVEPOINT piece")).await?,
            TransactionShape::Statement if before.is_empty() => {}
            TransactionShape::Statement => conn.execute(before).await?,
        }
        conn.in_transaction = true;
        let tail = conn.audit_tail;
        conn.begin_work(Access::Write);
        let (fate, answer) = run(conn).await;
        answers.push(answer);
        before = match (shape, fate) {
            (TransactionShape::Steps, Fate::Keep) => "RELEASE piece; ",
            (TransactionShape::Steps, Fate::Refuse | Fate::Undo | Fate::Panicked) => {
                undo_audit_tail(conn, fate, tail);
                // Takes whatever savepoints a panic left inside with it.
                "ROLLBACK TO piece; RELEASE piece; "
            }
            // A statement that fails undoes itself.
            (TransactionShape::Statement, Fate::Keep | Fate::Refuse | Fate::Undo) => "",
            (TransactionShape::Statement, Fate::Panicked) => {
                return Err(Error::Unavailable("a write of this batch panicked".into()));
            }
        };
    }
    if !conn.in_transaction {
        // None of them was begun.
        return Ok(());
    }
    conn.execute(format!("{before}COMMIT")).await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use sqlx::ConnectOptions;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

    use super::*;

    /// A piece whose caller waits for ever.
    fn wanted(options: WriteOptions, run: Run) -> Piece {
        let (caller, asked) = Asked::now(&TimeSource::default());
        std::mem::forget(caller);
        Piece {
            options,
            asked,
            run,
        }
    }

    #[tokio::test]
    async fn a_commit_waits_for_the_disk_if_anybody_in_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("x.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let mut conn = Conn::sqlite(
            options
                .synchronous(SqliteSynchronous::Full)
                .connect()
                .await
                .unwrap(),
            TimeSource::default(),
            FaultPoint::default(),
        );
        let seen = Arc::new(Mutex::new(Vec::new()));
        let look = |synced: bool| {
            let seen = Arc::clone(&seen);
            let run: Run = Box::new(move |conn| {
                Box::pin(async move {
                    let Handle::Sqlite(connection) = &mut conn.handle else {
                        panic!("SQLite")
                    };
                    let (level,): (i64,) = sqlx::query_as("PRAGMA synchronous")
                        .fetch_one(connection)
                        .await
                        .unwrap();
                    seen.lock().unwrap().push(level);
                    (Fate::Keep, Box::new(|_| ()) as Answer)
                })
            });
            wanted(
                WriteOptions {
                    synced,
                    ..WriteOptions::STEPS
                },
                run,
            )
        };
        for batch in [
            vec![look(true)],
            vec![look(false)],
            vec![look(false), look(false)],
            vec![look(false), look(true)],
        ] {
            commit_together(&mut conn, batch).await;
        }
        let (normal, full) = (1, 2);
        assert_eq!(
            *seen.lock().unwrap(),
            [full, normal, normal, normal, full, full]
        );
    }
}
