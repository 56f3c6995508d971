//! Recovery codes, by their hashes: a row is deleted when its code is used.

use crate::model::kernel::id::UserId;
use crate::store::{Conn, Result, hash_text, on};

/// Replaces the codes of a user.
pub async fn replace(conn: &mut Conn, user: UserId, hashes: &[[u8; 32]]) -> Result<()> {
    remove(conn, user).await?;
    for hash in hashes {
        on!(conn, c => sqlx::query("INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)")
            .bind(user.to_string()).bind(hash_text(hash)).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}

/// Uses a code up; returns `false` if the user has no such code. The codes of an app that was never
/// confirmed stand for no device.
pub async fn take(conn: &mut Conn, user: UserId, hash: &[u8; 32]) -> Result<bool> {
    let taken = on!(conn, c => sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2 AND EXISTS (SELECT 1 FROM totp WHERE totp.user_id = $1 AND totp.confirmed_at IS NOT NULL)")
        .bind(user.to_string()).bind(hash_text(hash)).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(taken == 1)
}

/// Removes every code of a user.
pub async fn remove(conn: &mut Conn, user: UserId) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1")
        .bind(user.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns how many codes the user has left.
pub async fn count(conn: &mut Conn, user: UserId) -> Result<i64> {
    let (left,): (i64,) = on!(conn, c => sqlx::query_as("SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1")
        .bind(user.to_string()).fetch_one(c).await)?;
    Ok(left)
}
