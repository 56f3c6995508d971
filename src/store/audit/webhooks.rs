//! The queue of events for webhooks. A process that takes events holds them for a limited time; if
//! it dies, they become due again.

use std::time::Duration;

use sqlx::FromRow;

use crate::model::audit::webhook::Webhook;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::ConfirmedNow;

use crate::store::mails::Hold;
use crate::store::{Conn, Error, Result, on};

#[derive(FromRow)]
struct Row {
    id: String,
    kind: String,
    body: String,
    attempts: i64,
    created_at: i64,
}

/// Adds an event to the queue, due at once.
pub async fn enqueue(conn: &mut Conn, webhook: &Webhook) -> Result<()> {
    on!(conn, c => sqlx::query("INSERT INTO webhooks (id, kind, body, attempts, created_at, due_at) VALUES ($1, $2, $3, 0, $4, $4)")
        .bind(webhook.id.to_string())
        .bind(&webhook.kind)
        .bind(&webhook.body)
        .bind(webhook.created_at.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Takes up to `limit` events that are due and holds them, so that no other process takes them
/// meanwhile. An event also counts as due if it was postponed further than any retry can be, which
/// a clock that was ahead has done; only a confirmed clock can distinguish that from an event that
/// another process holds.
pub async fn take_due(
    conn: &mut Conn,
    limit: i64,
    now: Timestamp,
    confirmed: Option<ConfirmedNow>,
    times: Hold,
) -> Result<Vec<Webhook>> {
    macro_rules! take {
        ($skip:literal) => {
            concat!(
                "UPDATE webhooks SET attempts = attempts + 1, due_at = $1 WHERE id IN (SELECT id FROM webhooks WHERE due_at <= $2 OR due_at > $4 ORDER BY due_at, id LIMIT $3",
                $skip,
                ") RETURNING id, kind, body, attempts, created_at"
            )
        };
    }
    let sql = if conn.is_postgres() {
        take!(" FOR UPDATE SKIP LOCKED")
    } else {
        take!("")
    };
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(sql).bind((now + times.hold).0).bind(now.0).bind(limit).bind(times.latest_of(now, confirmed).0).fetch_all(c).await)?;
    let webhook = |row: Row| {
        Ok(Webhook {
            id: row.id.parse().map_err(|_| Error::Corrupt {
                table: "webhooks",
                column: "id",
            })?,
            kind: row.kind,
            body: row.body,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            created_at: Timestamp(row.created_at),
        })
    };
    // An event that cannot be parsed stays held and does not block the others.
    let readable = |row: Row| {
        let id = row.id.clone();
        webhook(row).inspect_err(|error: &Error| tracing::error!(webhook = id, %error, "an event in the queue cannot be read")).ok()
    };
    Ok(rows.into_iter().filter_map(readable).collect())
}

/// Deletes up to `limit` events that were written more than `keep` ago; returns how many.
pub async fn prune(conn: &mut Conn, now: ConfirmedNow, keep: Duration, limit: i64) -> Result<u64> {
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let before = now.now() - keep;
    Ok(
        on!(conn, c => sqlx::query("DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks WHERE created_at < $1 ORDER BY id LIMIT $2)")
        .bind(before.0).bind(limit).execute(c).await.map(|done| done.rows_affected()))?,
    )
}

/// Removes an event that was delivered or given up. `attempt` is the attempt that ended this way:
/// if another process has taken the event since, nothing is removed.
pub async fn remove(conn: &mut Conn, id: EventId, attempt: u32) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM webhooks WHERE id = $1 AND attempts = $2")
        .bind(id.to_string()).bind(i64::from(attempt)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Gives an event up because it is too old. Only a confirmed clock removes it; returns `false` if
/// it stays.
pub async fn give_up(
    conn: &mut Conn,
    id: EventId,
    attempt: u32,
    now: ConfirmedNow,
) -> Result<bool> {
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(false);
    }
    remove(conn, id, attempt).await.map(|()| true)
}

/// Postpones the next attempt, unless another process has taken the event since this attempt.
pub async fn postpone(conn: &mut Conn, id: EventId, attempt: u32, due_at: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE webhooks SET due_at = $1 WHERE id = $2 AND attempts = $3")
        .bind(due_at.0).bind(id.to_string()).bind(i64::from(attempt)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the number of events in the queue.
pub async fn count(conn: &mut Conn) -> Result<i64> {
    Ok(on!(conn, c => sqlx::query_scalar("SELECT COUNT(*) FROM webhooks").fetch_one(c).await)?)
}
