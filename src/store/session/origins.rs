//! Which identity of another issuer opened a session: `sessions.account_id`, the id of its row in `accounts`,
//! and `sessions.upstream_sid`, the session at the issuer.

use super::epochs::{in_force, live_of_user};
use super::sessions::corrupt;
use crate::model::federation::logout::Logout;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::store::{Conn, Result, on};

/// Records which identity opened a session of this transaction, and in which session at its issuer.
pub async fn opened(
    conn: &mut Conn,
    session: SessionId,
    link: EventId,
    at_issuer: Option<&str>,
) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE sessions SET account_id = $1, upstream_sid = $2 WHERE id = $3")
        .bind(link.to_string()).bind(at_issuer).bind(session.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records that the identity which opened a session has opened its successor, too.
pub async fn inherit(conn: &mut Conn, before: SessionId, after: SessionId) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE sessions SET account_id = (SELECT s.account_id FROM sessions s WHERE s.id = $1),
                upstream_sid = (SELECT s.upstream_sid FROM sessions s WHERE s.id = $1) WHERE id = $2")
        .bind(before.to_string()).bind(after.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the sessions of a user in force that an identity opened.
pub async fn of_identity(conn: &mut Conn, user: UserId, link: EventId) -> Result<Vec<SessionId>> {
    const FIND: &str = concat!(
        "SELECT s.id FROM sessions s WHERE ",
        live_of_user!(),
        " AND s.account_id = $2 ORDER BY s.id"
    );
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(FIND)
        .bind(user.to_string()).bind(link.to_string()).fetch_all(c).await)?;
    ids(rows)
}

/// Returns the sessions in force that an issuer ends: those that were opened in its session or, if it
/// names none, by its user.
pub async fn of_logout(conn: &mut Conn, logout: &Logout) -> Result<Vec<SessionId>> {
    const OF_SESSION: &str = concat!(
        "SELECT s.id FROM sessions s JOIN accounts a ON a.id = s.account_id
          WHERE s.upstream_sid = $1 AND a.provider_id = $2 AND a.issuer = $3
            AND (CAST($4 AS TEXT) IS NULL OR a.account_id = $4) AND ",
        in_force!("s"),
        " ORDER BY s.id"
    );
    const OF_SUBJECT: &str = concat!(
        "SELECT s.id FROM sessions s JOIN accounts a ON a.id = s.account_id
          WHERE a.account_id = $1 AND a.provider_id = $2 AND a.issuer = $3 AND ",
        in_force!("s"),
        " ORDER BY s.id"
    );
    let (provider, issuer) = (logout.provider.as_str(), logout.issuer.as_str());
    let rows: Vec<(String,)> = match (&logout.session, &logout.subject) {
        (Some(session), subject) => on!(conn, c => sqlx::query_as(OF_SESSION)
            .bind(session.as_str()).bind(provider).bind(issuer).bind(subject.as_deref()).fetch_all(c).await)?,
        (None, Some(subject)) => on!(conn, c => sqlx::query_as(OF_SUBJECT)
            .bind(subject.as_str()).bind(provider).bind(issuer).fetch_all(c).await)?,
        (None, None) => Vec::new(),
    };
    ids(rows)
}

fn ids(rows: Vec<(String,)>) -> Result<Vec<SessionId>> {
    rows.into_iter()
        .map(|(id,)| id.parse().map_err(|_| corrupt("id")))
        .collect()
}
