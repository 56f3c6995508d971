//! What a batch brought and is still as it was brought.

use std::collections::BTreeSet;

use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::store::{Conn, Result, on};

/// Returns the users of a batch, by the texts of their ids, whom an event since this time concerns or
/// who have caused one. The events of the import itself do not count.
pub async fn with_events(
    conn: &mut Conn,
    batch: EventId,
    since: Timestamp,
) -> Result<BTreeSet<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT r.user_id FROM audit_events e JOIN import_rows r ON r.user_id = e.subject WHERE e.at >= $1 AND r.batch_id = $2 AND e.kind <> 'user.created'
         UNION SELECT r.user_id FROM audit_events e JOIN import_rows r ON e.actor = 'user:' || r.user_id WHERE e.at >= $1 AND r.batch_id = $2")
        .bind(since.0).bind(batch.to_string()).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Returns whether a user is as the batch created it: never changed, without sessions, with the ways
/// to sign in that came along, and known from no other batch.
pub async fn is_untouched(conn: &mut Conn, user: UserId, batch: EventId) -> Result<bool> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM users u WHERE u.id = $1 AND u.version = 1 AND u.deleted_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id)
            AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.user_id = u.id AND (a.updated_at <> a.created_at OR a.created_at > u.updated_at))
            AND NOT EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = u.id)
            AND NOT EXISTS (SELECT 1 FROM totp t WHERE t.user_id = u.id)
            AND NOT EXISTS (SELECT 1 FROM foreign_ids f WHERE f.user_id = u.id AND f.batch_id <> $2)")
        .bind(user.to_string()).bind(batch.to_string()).fetch_one(c).await)?;
    Ok(count == 1)
}

/// Removes an account at a provider that a link added, unless it has been used since; returns whether
/// it is gone.
pub async fn remove_account(conn: &mut Conn, user: UserId, account: EventId) -> Result<bool> {
    let id = account.to_string();
    on!(conn, c => sqlx::query("DELETE FROM accounts WHERE id = $1 AND user_id = $2 AND updated_at = created_at")
        .bind(id.as_str()).bind(user.to_string()).execute(c).await.map(|_| ()))?;
    let (left,): (i64,) = on!(conn, c => sqlx::query_as("SELECT COUNT(*) FROM accounts WHERE id = $1 AND user_id = $2")
        .bind(id.as_str()).bind(user.to_string()).fetch_one(c).await)?;
    Ok(left == 0)
}
