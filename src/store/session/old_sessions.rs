//! Sessions that are to be removed: those beyond the limit for a user, and those that ended long
//! ago.

use std::time::Duration;

use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::{ConfirmedNow, MAX_GAP};

use super::epochs::{in_force, live_of_user};
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Error, Result, on, skipping};

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "sessions",
        column,
    }
}

/// Returns which of a user's sessions exceed the `keep` that are allowed: of the oldest ones, those
/// that have not been used for the longest time, at most `limit`. Sessions in which an admin
/// impersonates the user do not count. With `acted`, only sessions in which this user impersonates
/// another one count.
pub async fn too_many(
    conn: &mut Conn,
    user: UserId,
    acted: bool,
    spared: SessionId,
    keep: i64,
    limit: i64,
) -> Result<Vec<SessionId>> {
    macro_rules! count {
        ($which:expr) => {
            concat!(
                "SELECT COUNT(*) FROM (SELECT s.id FROM sessions s WHERE ",
                $which,
                " LIMIT $2) found"
            )
        };
    }
    macro_rules! least_used {
        ($which:expr) => {
            concat!(
                "SELECT id FROM (SELECT s.id, CASE WHEN s.rotated_at > s.updated_at THEN s.rotated_at ELSE s.updated_at END AS used_at FROM sessions s WHERE ",
                $which,
                " ORDER BY s.id LIMIT $2) oldest WHERE id <> $3 ORDER BY used_at, id LIMIT $4"
            )
        };
    }
    macro_rules! own {
        () => {
            concat!(live_of_user!(), " AND s.impersonated_by IS NULL")
        };
    }
    macro_rules! acted {
        () => {
            concat!("s.impersonated_by = $1 AND ", in_force!("s"))
        };
    }
    let (count, find) = if acted {
        (count!(acted!()), least_used!(acted!()))
    } else {
        (count!(own!()), least_used!(own!()))
    };
    let (user, most) = (user.to_string(), keep.saturating_add(limit));
    let (found,): (i64,) =
        on!(conn, c => sqlx::query_as(count).bind(user.as_str()).bind(most).fetch_one(c).await)?;
    if found <= keep {
        return Ok(Vec::new());
    }
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(find)
        .bind(user.as_str()).bind(most).bind(spared.to_string()).bind(found - keep).fetch_all(c).await)?;
    rows.into_iter()
        .map(|(id,)| id.parse().map_err(|_| corrupt("id")))
        .collect()
}

/// Deletes up to `limit` sessions whose absolute end is more than `keep` ago, oldest first; returns
/// how many.
pub async fn prune(conn: &mut Conn, now: ConfirmedNow, keep: Duration, limit: i64) -> Result<u64> {
    const DELETE: Locking = skipping!(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2",
        ")"
    );
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let (sql, before) = (DELETE.on(conn), now.now() - keep);
    let deleted = on!(conn, c => sqlx::query(sql)
        .bind(before.0).bind(limit).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(deleted)
}

/// Ends the sessions that began more than a day in the future: a clock that was ahead wrote them,
/// and they would be live again when that time comes. Ids begin with a time, so only these rows are
/// read. The last confirmed time is considered as well, so that a clock that is behind ends
/// nothing.
pub async fn end_unbegun(conn: &mut Conn, now: ConfirmedNow) -> Result<u64> {
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let horizon = now.now() + MAX_GAP;
    let ended = on!(conn, c => sqlx::query(
        "UPDATE sessions SET expires_at = $1 WHERE id > $2 AND expires_at > $1 AND created_at > $3
            AND created_at > (SELECT confirmed_at FROM clock WHERE clock.id = 1) + 86400000")
        .bind(now.now().0).bind(SessionId::at(horizon, [0; 10]).to_string()).bind(horizon.0).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(ended)
}

/// Looks at the next `limit` sessions after the id `after`, in the order of their ids. Returns the
/// last id and how many of them have an idle end before `before`.
pub async fn idle_page(
    conn: &mut Conn,
    after: Option<SessionId>,
    before: Timestamp,
    limit: i64,
) -> Result<Option<(SessionId, usize)>> {
    let rows: Vec<(String, i64)> = on!(conn, c => sqlx::query_as("SELECT id, idle_expires_at FROM sessions WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(after.map(|id| id.to_string()).unwrap_or_default()).bind(limit).fetch_all(c).await)?;
    let Some((last, _)) = rows.last() else {
        return Ok(None);
    };
    let due = rows.iter().filter(|(_, end)| *end < before.0).count();
    Ok(Some((last.parse().map_err(|_| corrupt("id"))?, due)))
}

/// Deletes up to `limit` sessions of such a page, from after the first id up to the second, whose
/// idle end is more than `keep` ago; returns how many.
pub async fn prune_idle(
    conn: &mut Conn,
    (after, until): (Option<SessionId>, SessionId),
    now: ConfirmedNow,
    keep: Duration,
    limit: i64,
) -> Result<u64> {
    const DELETE: Locking = skipping!(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE id > $1 AND id <= $2 AND idle_expires_at < $3 ORDER BY id LIMIT $4",
        ")"
    );
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let (sql, before) = (DELETE.on(conn), now.now() - keep);
    let deleted = on!(conn, c => sqlx::query(sql)
        .bind(after.map(|id| id.to_string()).unwrap_or_default()).bind(until.to_string()).bind(before.0).bind(limit)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(deleted)
}
