//! The counters of the rate limits. A row is taken, decided upon and put back in one transaction.

use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::ConfirmedNow;
use crate::model::limit::rate::State;

use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Result, on, skipping};

/// Reads the row of a key and locks it until this transaction ends. Several rows are taken in the
/// order of their keys.
pub async fn take(conn: &mut Conn, key: &str) -> Result<Option<State>> {
    const FIND: &str = "SELECT level, free_at, expires_at FROM rate_limits WHERE key = $1";
    // An upsert rather than `SELECT … FOR UPDATE`: a missing row cannot be locked, and a concurrent
    // prune may delete it.
    const LOCKING: &str =
        "INSERT INTO rate_limits (key, level, free_at, expires_at) VALUES ($1, 0, 0, 0)
         ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING level, free_at, expires_at";
    let sql = if conn.is_postgres() { LOCKING } else { FIND };
    let row: Option<(i64, i64, i64)> =
        on!(conn, c => sqlx::query_as(sql).bind(key).fetch_optional(c).await)?;
    Ok(row.map(|(level, free_at, expires_at)| State {
        level,
        free_at: Timestamp(free_at),
        expires_at: Timestamp(expires_at),
    }))
}

/// Reads the row of a key without a lock.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Option<State>> {
    let row: Option<(i64, i64, i64)> = on!(conn, c => sqlx::query_as("SELECT level, free_at, expires_at FROM rate_limits WHERE key = $1")
        .bind(key).fetch_optional(c).await)?;
    Ok(row.map(|(level, free_at, expires_at)| State {
        level,
        free_at: Timestamp(free_at),
        expires_at: Timestamp(expires_at),
    }))
}

/// Stores the row of a key.
pub async fn put(conn: &mut Conn, key: &str, state: State) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO rate_limits (key, level, free_at, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (key) DO UPDATE SET level = excluded.level, free_at = excluded.free_at, expires_at = excluded.expires_at")
        .bind(key)
        .bind(state.level)
        .bind(state.free_at.0)
        .bind(state.expires_at.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Deletes the row of a key.
pub async fn forget(conn: &mut Conn, key: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM rate_limits WHERE key = $1").bind(key).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Deletes up to `limit` rows that have expired; returns how many.
pub async fn prune(conn: &mut Conn, now: ConfirmedNow, limit: i64) -> Result<u64> {
    const DELETE: Locking = skipping!(
        "DELETE FROM rate_limits WHERE key IN (SELECT key FROM rate_limits WHERE expires_at < $1 ORDER BY expires_at LIMIT $2",
        ")"
    );
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let sql = DELETE.on(conn);
    Ok(
        on!(conn, c => sqlx::query(sql).bind(now.now().0).bind(limit).execute(c).await.map(|done| done.rows_affected()))?,
    )
}

/// Returns the number of rows that limit a key now.
pub async fn count(conn: &mut Conn, now: Timestamp) -> Result<i64> {
    Ok(
        on!(conn, c => sqlx::query_scalar("SELECT COUNT(*) FROM rate_limits WHERE expires_at > $1").bind(now.0).fetch_one(c).await)?,
    )
}

/// Returns a page of the rows that limit a key now, those that last longest first.
pub async fn list(
    conn: &mut Conn,
    now: Timestamp,
    limit: i64,
    offset: i64,
) -> Result<Vec<(String, State)>> {
    let rows: Vec<(String, i64, i64, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT key, level, free_at, expires_at FROM rate_limits WHERE expires_at > $1 ORDER BY free_at DESC, key LIMIT $2 OFFSET $3")
        .bind(now.0).bind(limit).bind(offset).fetch_all(c).await)?;
    let state = |(key, level, free_at, expires_at)| {
        (
            key,
            State {
                level,
                free_at: Timestamp(free_at),
                expires_at: Timestamp(expires_at),
            },
        )
    };
    Ok(rows.into_iter().map(state).collect())
}

/// Deletes the rows of every key with this part, or all rows; returns how many.
pub async fn clear(conn: &mut Conn, part: Option<&str>) -> Result<u64> {
    let cleared = match part {
        Some(part) => {
            on!(conn, c => sqlx::query("DELETE FROM rate_limits WHERE key LIKE '%' || $1 || '%'").bind(part).execute(c).await.map(|done| done.rows_affected()))?
        }
        None => {
            on!(conn, c => sqlx::query("DELETE FROM rate_limits").execute(c).await.map(|done| done.rows_affected()))?
        }
    };
    Ok(cleared)
}
