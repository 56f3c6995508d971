//! Challenges of passkeys that were answered, by their hash: each is good once.

use std::time::Duration;

use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::ConfirmedNow;
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Result, hash_text, on, skipping};

/// Uses a challenge up; returns `false` if it was answered before.
pub async fn spend(conn: &mut Conn, hash: &[u8; 32], expires_at: Timestamp) -> Result<bool> {
    let spent = on!(conn, c => sqlx::query("INSERT INTO used_assertions (hash, expires_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING")
        .bind(hash_text(hash)).bind(expires_at.0).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(spent == 1)
}

/// Deletes up to `limit` challenges whose time was over more than `keep` ago; returns how many.
pub async fn prune(conn: &mut Conn, now: ConfirmedNow, keep: Duration, limit: i64) -> Result<u64> {
    const DELETE: Locking = skipping!(
        "DELETE FROM used_assertions WHERE hash IN (SELECT hash FROM used_assertions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2",
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
