//! Which identity of another issuer opened a session: `sessions.account_id`, the id of its row in `accounts`.

use super::epochs::live_of_user;
use super::sessions::corrupt;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::store::{Conn, Result, on};

/// Records which identity opened a session of this transaction.
pub async fn opened(conn: &mut Conn, session: SessionId, link: EventId) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE sessions SET account_id = $1 WHERE id = $2")
        .bind(link.to_string()).bind(session.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records that the identity which opened a session has opened its successor, too.
pub async fn inherit(conn: &mut Conn, before: SessionId, after: SessionId) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE sessions SET account_id = (SELECT s.account_id FROM sessions s WHERE s.id = $1) WHERE id = $2")
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
    rows.into_iter()
        .map(|(id,)| id.parse().map_err(|_| corrupt("id")))
        .collect()
}
