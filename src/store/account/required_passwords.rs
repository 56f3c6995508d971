//! Passwords that have to be replaced before they open a session again.

use crate::model::kernel::id::UserId;
use crate::store::{Conn, Result, on};

/// Requires a new password of a user. Returns `false` if the user has no password, or one that has
/// to be replaced already.
pub async fn require_of(conn: &mut Conn, user: UserId) -> Result<bool> {
    let changed = on!(conn, c => sqlx::query(
        "UPDATE accounts SET password_epoch = (SELECT password_epoch FROM key_ring WHERE key_ring.id = 1) - 1
          WHERE user_id = $1 AND provider_id = 'credential' AND password_epoch >= (SELECT password_epoch FROM key_ring WHERE key_ring.id = 1)")
        .bind(user.to_string())
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Requires a new password of every user, by one change of the key ring's row.
pub async fn require_of_all(conn: &mut Conn) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE key_ring SET password_epoch = password_epoch + 1 WHERE id = 1").execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns how many users have a password, and of how many it has to be replaced.
pub async fn count(conn: &mut Conn) -> Result<(i64, i64)> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*), COUNT(CASE WHEN a.password_epoch < (SELECT password_epoch FROM key_ring WHERE key_ring.id = 1) THEN 1 END)
           FROM accounts a JOIN users u ON u.id = a.user_id WHERE a.provider_id = 'credential' AND u.deleted_at IS NULL")
        .fetch_one(c).await)?)
}
