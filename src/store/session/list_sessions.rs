//! Statements that list and count sessions: pages of them, their user agents, their owner.

use super::epochs::{begun, in_force, live_of_user};
use super::sessions::{Row, corrupt};
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Session;
use crate::store::{Conn, Result, on};
use std::time::Duration;

/// A page of a list of sessions.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The greatest number of sessions.
    pub limit: i64,
    /// Only sessions that began before this one.
    pub before: Option<SessionId>,
    /// Whether to leave out sessions in which an admin impersonates the user.
    pub own: bool,
}

/// Returns a page of the live sessions of a user, newest first.
pub async fn list_live(
    conn: &mut Conn,
    user: UserId,
    page: &Page,
    now: Timestamp,
) -> Result<Vec<Session>> {
    const LIST: &str = concat!(
        "SELECT s.id, s.user_id, s.delivery, s.remember, s.auth_time, s.created_at, s.updated_at, s.expires_at, s.ip_address, s.user_agent, s.impersonated_by, s.retry, s.proofs, s.idle_ttl
           FROM sessions s WHERE ",
        live_of_user!(),
        " AND s.expires_at > $2 AND s.idle_expires_at > $2 AND ",
        begun!("s", "$2"),
        " AND (CAST($3 AS TEXT) IS NULL OR s.id < $3) AND (s.impersonated_by IS NULL OR $4 = 0) ORDER BY s.id DESC LIMIT $5"
    );
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(LIST)
        .bind(user.to_string()).bind(now.0).bind(page.before.map(|id| id.to_string())).bind(i64::from(page.own)).bind(page.limit).fetch_all(c).await)?;
    rows.into_iter().map(Session::try_from).collect()
}

/// Returns when each of the user's sessions in force from `oldest` on was last used: refreshed, or
/// extended by its cookie.
pub async fn last_uses(
    conn: &mut Conn,
    user: UserId,
    oldest: SessionId,
) -> Result<Vec<(SessionId, Timestamp)>> {
    const USES: &str = concat!(
        "SELECT s.id, s.rotated_at, s.updated_at FROM sessions s WHERE ",
        live_of_user!(),
        " AND s.id >= $2"
    );
    let rows: Vec<(String, i64, i64)> = on!(conn, c => sqlx::query_as(USES)
        .bind(user.to_string()).bind(oldest.to_string()).fetch_all(c).await)?;
    rows.into_iter()
        .map(|(id, rotated, updated)| {
            let id = id.parse().map_err(|_| corrupt("id"))?;
            Ok((id, Timestamp(rotated.max(updated))))
        })
        .collect()
}

/// Returns sessions in force that began at `since` or later: the user's own, and those in which the
/// user impersonates another one; at most `limit`.
pub async fn begun_since(
    conn: &mut Conn,
    user: UserId,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<SessionId>> {
    const FIND: &str = concat!(
        "SELECT s.id FROM sessions s WHERE (s.user_id = $1 OR s.impersonated_by = $1) AND s.created_at >= $2 AND ",
        in_force!("s"),
        " ORDER BY s.id LIMIT $3"
    );
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(FIND).bind(user.to_string()).bind(since.0).bind(limit).fetch_all(c).await)?;
    rows.into_iter()
        .map(|(id,)| id.parse().map_err(|_| corrupt("id")))
        .collect()
}

/// Returns the number of live sessions of a user.
pub async fn count_live(conn: &mut Conn, user: UserId, now: Timestamp) -> Result<i64> {
    const COUNT: &str = concat!(
        "SELECT COUNT(*) FROM sessions s WHERE ",
        live_of_user!(),
        " AND s.expires_at > $2 AND s.idle_expires_at > $2 AND ",
        begun!("s", "$2"),
    );
    Ok(
        on!(conn, c => sqlx::query_scalar(COUNT).bind(user.to_string()).bind(now.0).fetch_one(c).await)?,
    )
}

/// Returns when the user last proved the password or another factor, as far as sessions are stored.
pub async fn last_sign_in(conn: &mut Conn, user: UserId) -> Result<Option<Timestamp>> {
    let last: Option<i64> = on!(conn, c => sqlx::query_scalar(
        "SELECT MAX(auth_time) FROM sessions WHERE user_id = $1 AND impersonated_by IS NULL")
        .bind(user.to_string()).fetch_one(c).await)?;
    Ok(last.map(Timestamp))
}

/// The number of a user's newest sessions that show which devices are known.
const REMEMBERED: i64 = 200;

/// Returns the user agents of the user's newest sessions that are still stored.
pub async fn user_agents(conn: &mut Conn, user: UserId) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT DISTINCT user_agent FROM (SELECT user_agent FROM sessions WHERE user_id = $1 ORDER BY id DESC LIMIT $2) newest")
        .bind(user.to_string()).bind(REMEMBERED).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(text,)| text).collect())
}

/// Returns the user of a session, whether or not it is live.
pub async fn owner(conn: &mut Conn, id: SessionId) -> Result<Option<UserId>> {
    let row: Option<(String,)> = on!(conn, c => sqlx::query_as("SELECT user_id FROM sessions WHERE id = $1").bind(id.to_string()).fetch_optional(c).await)?;
    row.map(|(user,)| user.parse().map_err(|_| corrupt("user_id")))
        .transpose()
}

/// The live sessions, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// The number of live sessions.
    pub live: i64,
    /// How many of them have retry tickets.
    pub with_tickets: i64,
    /// The mean age of all of them.
    pub mean_age: Duration,
}

/// Counts the live sessions. Reads the whole table.
pub async fn census(conn: &mut Conn, now: Timestamp) -> Result<Census> {
    const LIVE: &str = concat!(
        "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN s.retry = 'ticket' THEN 1 ELSE 0 END), 0) AS BIGINT), CAST(COALESCE(AVG($1 - s.created_at), 0) AS BIGINT) FROM sessions s
          WHERE s.idle_expires_at > $1 AND s.expires_at > $1 AND ",
        begun!("s", "$1"),
        " AND ",
        in_force!("s")
    );
    let (live, with_tickets, age): (i64, i64, i64) =
        on!(conn, c => sqlx::query_as(LIVE).bind(now.0).fetch_one(c).await)?;
    Ok(Census {
        live,
        with_tickets,
        mean_age: Duration::from_millis(age.unsigned_abs()),
    })
}
