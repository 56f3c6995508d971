//! The queue of events for webhooks.

use std::time::Duration;

use sqlx::FromRow;

use crate::model::audit::webhook::Webhook;
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::ConfirmedNow;

use crate::store::queue::{Attempt, Message, Queue, queue};
use crate::store::{Conn, Error, Result, on};

/// A row of `webhooks`.
#[derive(Debug, FromRow)]
pub struct Row {
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

impl Message for Webhook {
    type Row = Row;

    const QUEUE: Queue = queue!("webhooks", "id, kind, body, attempts, created_at");

    fn id_of(row: &Row) -> String {
        row.id.clone()
    }

    fn parse(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.parse().map_err(|_| Error::Corrupt {
                table: "webhooks",
                column: "id",
            })?,
            kind: row.kind,
            body: row.body,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            created_at: Timestamp(row.created_at),
        })
    }

    fn attempt(&self) -> Attempt {
        Attempt {
            id: self.id,
            number: self.attempts,
        }
    }
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
