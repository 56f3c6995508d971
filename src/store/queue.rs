//! Queues of messages that are delivered after the commit that caused them: mails, and events for a
//! webhook. A process that takes messages holds them for a limited time; if it dies, they become
//! due again.

use std::time::Duration;

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::ConfirmedNow;

use super::engine::row_locks::Locking;
use super::{Conn, Result, on};

/// A message of a queue: `Mail` or `Webhook`.
pub trait Message: Sized + Send + 'static {
    /// The columns of the queue's table.
    type Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin;

    /// The statements of the queue's table.
    const QUEUE: Queue;

    /// Returns the id in a row, for the log.
    fn id_of(row: &Self::Row) -> String;

    /// Parses a row.
    ///
    /// # Errors
    /// [`Error::Corrupt`](super::Error::Corrupt), such as for a row of a newer version.
    fn parse(row: Self::Row) -> Result<Self>;

    /// Returns the attempt for which this message was taken.
    fn attempt(&self) -> Attempt;
}

/// One attempt to deliver a message. What an attempt changes has no effect if another process has
/// taken the message since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The id of the message.
    pub id: EventId,
    /// The number of the attempt; 1 for the first.
    pub number: u32,
}

/// The statements of a queue; the macro `queue!` writes them.
#[derive(Debug, Clone, Copy)]
pub struct Queue {
    pub(super) take: Locking,
    pub(super) remove: &'static str,
    pub(super) postpone: &'static str,
    pub(super) count: &'static str,
}

/// Writes the statements of the queue in a table; `$columns` are those of [`Message::Row`].
macro_rules! queue {
    ($table:literal, $columns:literal) => {
        $crate::store::queue::Queue {
            take: $crate::store::skipping!(
                concat!(
                    "UPDATE ",
                    $table,
                    " SET attempts = attempts + 1, due_at = $1 WHERE id IN (SELECT id FROM ",
                    $table,
                    " WHERE due_at <= $2 OR due_at > $4 ORDER BY due_at, id LIMIT $3"
                ),
                concat!(") RETURNING ", $columns)
            ),
            remove: concat!("DELETE FROM ", $table, " WHERE id = $1 AND attempts = $2"),
            postpone: concat!(
                "UPDATE ",
                $table,
                " SET due_at = $1 WHERE id = $2 AND attempts = $3"
            ),
            count: concat!("SELECT COUNT(*) FROM ", $table),
        }
    };
}
pub(in crate::store) use queue;

/// How long a message that is taken is held, and how far ahead an attempt can be postponed.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// The time that the process which takes a message has to deliver it.
    pub hold: Duration,
    /// A time longer than the longest delay between two attempts.
    pub latest: Duration,
}

impl Hold {
    /// Returns the time after which a due time must come from a clock that was ahead.
    fn latest_of(self, now: Timestamp, confirmed: Option<ConfirmedNow>) -> Timestamp {
        confirmed.map_or(Timestamp(i64::MAX), |_| now + self.latest)
    }
}

/// Takes up to `limit` messages that are due and holds them, so that no other process takes them
/// meanwhile. A message also counts as due if it was postponed further than any retry can be, which
/// a clock that was ahead has done; only a confirmed clock can distinguish that from a message that
/// another process holds.
pub async fn take_due<M: Message>(
    conn: &mut Conn,
    limit: i64,
    now: Timestamp,
    confirmed: Option<ConfirmedNow>,
    times: Hold,
) -> Result<Vec<M>> {
    let sql = M::QUEUE.take.on(conn);
    let rows: Vec<M::Row> = on!(conn, c => sqlx::query_as(sql).bind((now + times.hold).0).bind(now.0).bind(limit).bind(times.latest_of(now, confirmed).0).fetch_all(c).await)?;
    // A message that cannot be parsed stays held and does not block the others.
    let readable = |row: M::Row| {
        let id = M::id_of(&row);
        M::parse(row)
            .inspect_err(
                |error| tracing::error!(message = id, %error, "a message in the queue cannot be read"),
            )
            .ok()
    };
    Ok(rows.into_iter().filter_map(readable).collect())
}

/// Removes a message that was delivered or given up.
pub async fn remove<M: Message>(conn: &mut Conn, attempt: Attempt) -> Result<()> {
    on!(conn, c => sqlx::query(M::QUEUE.remove).bind(attempt.id.to_string()).bind(i64::from(attempt.number)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Gives a message up because it is too old. Only a confirmed clock removes it; returns `false` if
/// it stays.
pub async fn give_up<M: Message>(
    conn: &mut Conn,
    attempt: Attempt,
    now: ConfirmedNow,
) -> Result<bool> {
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(false);
    }
    remove::<M>(conn, attempt).await.map(|()| true)
}

/// Postpones the next attempt.
pub async fn postpone<M: Message>(
    conn: &mut Conn,
    attempt: Attempt,
    due_at: Timestamp,
) -> Result<()> {
    on!(conn, c => sqlx::query(M::QUEUE.postpone).bind(due_at.0).bind(attempt.id.to_string()).bind(i64::from(attempt.number)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the number of messages in the queue.
pub async fn count<M: Message>(conn: &mut Conn) -> Result<i64> {
    Ok(on!(conn, c => sqlx::query_scalar(M::QUEUE.count).fetch_one(c).await)?)
}
