//! A batch of pieces of work on SQLite's single writing connection: each in a savepoint, with one
//! commit for all.

use std::pin::Pin;

use crate::store::{Error, Result};

use super::asked::Asked;
use super::conn::{Access, Conn};
use super::write_options::{TransactionShape, WriteOptions};

/// Sends the caller the outcome after the commit.
pub(super) type Answer = Box<dyn FnOnce(Result<()>) + Send>;

/// Whether a piece is kept, and how to answer its caller.
pub(super) type Done = (Fate, Answer);

pub(super) type Run =
    Box<dyn for<'c> FnOnce(&'c mut Conn) -> Pin<Box<dyn Future<Output = Done> + Send + 'c>> + Send>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Keep,
    /// The work refused; no statement failed.
    Refuse,
    /// A statement of the work failed.
    Undo,
    /// The work panicked; it is not known which transactions it left open.
    Panicked,
}

pub(super) struct Piece {
    pub(super) options: WriteOptions,
    pub(super) asked: Asked,
    pub(super) run: Run,
}

pub(super) async fn commit_together(conn: &mut Conn, mut pieces: Vec<Piece>) {
    // Before anything is begun for them. A piece that becomes too old while others of its batch run
    // is skipped there.
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

/// Runs all pieces and commits. If it returns an error, none of them is kept.
async fn run_batch(conn: &mut Conn, pieces: Vec<Piece>, answers: &mut Vec<Answer>) -> Result<()> {
    let alone = pieces.len() == 1;
    // One piece that has to be synced is enough: there is one commit for all.
    let synced = pieces.iter().any(|piece| piece.options.synced);
    if let Err(error) = conn.sync(synced).await {
        // A transaction is still open, and inside one the setting cannot be changed.
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
        // SQLite's implicit transaction for a single statement saves two thirds of the round trips.
        for piece in pieces {
            let tail = conn.audit_tail;
            conn.begin_work(Access::Write);
            let (fate, answer) = (piece.run)(conn).await;
            answers.push(answer);
            // Reset it after a panic inside a step, too.
            conn.in_transaction = false;
            if fate == Fate::Refuse {
                // The piece's own step has been rolled back, and nothing else was written.
                conn.undo_audit_tail(tail);
            } else if fate != Fate::Keep {
                // Usually nothing is left to roll back and this fails; it only matters that no
                // transaction stays open.
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
        // After some errors SQLite has rolled back by itself and this fails, which is fine.
        drop(conn.execute("ROLLBACK").await);
        conn.forget_audit_tail();
    }
    conn.in_transaction = false;
    outcome
}

/// Runs a single piece. It needs no savepoint, because the transaction is its own.
async fn run_alone(conn: &mut Conn, pieces: Vec<Piece>, answers: &mut Vec<Answer>) -> Result<()> {
    conn.execute("BEGIN IMMEDIATE").await?;
    conn.in_transaction = true;
    let mut end = "COMMIT";
    for piece in pieces {
        // Asked after `BEGIN`, which may have waited for another process.
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
        // Whether or not the rollback succeeds, nothing of the piece is kept.
        _ => Ok(()),
    }
}

/// Restores the end of the audit chain after a piece was rolled back: after a refusal it is the end
/// from before the piece; after anything else it has to be read from the table.
fn undo_audit_tail(conn: &mut Conn, fate: Fate, before: Option<(i64, [u8; 32])>) {
    if fate == Fate::Refuse {
        conn.undo_audit_tail(before);
    } else {
        conn.forget_audit_tail();
    }
}

/// Runs each piece in its own savepoint. The statement that ends a piece is sent together with the
/// one that begins the next, because the round trip to SQLite's thread costs more than either.
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
                // Also ends any savepoints that a panic left open inside it.
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
        // None of the pieces was begun.
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
    use crate::store::TimeSource;
    use crate::store::engine::conn::Handle;
    use crate::store::engine::faults::FaultPoint;

    /// Makes a piece whose caller never gives up.
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
    async fn a_commit_waits_for_the_disk_if_any_piece_of_it_does() {
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
