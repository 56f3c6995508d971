//! The queue of events for a webhook. Whoever takes some holds them for a while; one who dies gives
//! them back by doing nothing.

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

/// Writes one into the queue; it is due at once.
pub async fn enqueue(conn: &mut Conn, webhook: &Webhook) -> Result<()> {
    on!(conn, c => sqlx::query("INSERT INTO webhooks (id, kind, body, attempts, created_at, due_at) VALUES ($1, $2, $3, 0, $4, $4)")
        .bind(webhook.id.to_string())
        .bind(&webhook.kind)
        .bind(&webhook.body)
        .bind(webhook.created_at.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Takes up to `limit` that are due and holds them for a while; no other process takes them
/// meanwhile. Due is also what a clock that was ahead has postponed further than any attempt is;
/// only a confirmed clock can tell that from what another process holds.
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
    // One that cannot be read stays held and keeps nobody else waiting.
    let readable = |row: Row| {
        let id = row.id.clone();
        webhook(row).inspect_err(|error: &Error| tracing::error!(webhook = id, %error, "an event in the queue cannot be read")).ok()
    };
    Ok(rows.into_iter().filter_map(readable).collect())
}

/// Deletes up to `limit` that were written more than `keep` ago; tells how many.
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

/// It was taken, or is given up. `attempt` is the one that ended so: what somebody else took
/// meanwhile is theirs.
pub async fn remove(conn: &mut Conn, id: EventId, attempt: u32) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM webhooks WHERE id = $1 AND attempts = $2")
        .bind(id.to_string()).bind(i64::from(attempt)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Gives an event up because it is too old: removed only by a confirmed clock. `false`: it stays.
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

/// Tries again then, unless somebody else has taken it since this attempt.
pub async fn postpone(conn: &mut Conn, id: EventId, attempt: u32, due_at: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE webhooks SET due_at = $1 WHERE id = $2 AND attempts = $3")
        .bind(due_at.0).bind(id.to_string()).bind(i64::from(attempt)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// How many wait.
pub async fn count(conn: &mut Conn) -> Result<i64> {
    Ok(on!(conn, c => sqlx::query_scalar("SELECT COUNT(*) FROM webhooks").fetch_one(c).await)?)
}
