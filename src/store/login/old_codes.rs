//! Ends and deletes codes of mails in the background.

use std::time::Duration;

use crate::model::kernel::trusted_clock::{ConfirmedNow, MAX_GAP};
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Result, on, skipping};

/// Ends the codes that were made more than a day in the future, by a clock that was ahead:
/// otherwise they would be good again when that time comes.
pub async fn end_unbegun(conn: &mut Conn, now: ConfirmedNow) -> Result<u64> {
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let ended = on!(conn, c => sqlx::query(
        "UPDATE login_codes SET ended_at = $1 WHERE ended_at IS NULL AND created_at > $2
            AND created_at > (SELECT confirmed_at FROM clock WHERE clock.id = 1) + 86400000")
        .bind(now.now().0).bind((now.now() + MAX_GAP).0).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(ended)
}

/// Deletes up to `limit` codes that expired more than `keep` ago; returns how many.
pub async fn prune(conn: &mut Conn, now: ConfirmedNow, keep: Duration, limit: i64) -> Result<u64> {
    const DELETE: Locking = skipping!(
        "DELETE FROM login_codes WHERE id IN (SELECT id FROM login_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2",
        ")"
    );
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let (sql, before) = (DELETE.on(conn), now.now() - keep);
    Ok(
        on!(conn, c => sqlx::query(sql).bind(before.0).bind(limit).execute(c).await.map(|done| done.rows_affected()))?,
    )
}
