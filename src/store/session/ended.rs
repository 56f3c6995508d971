//! How sessions ended, for answers that tell clients why theirs has ended.

use sqlx::FromRow;

use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::{End, RevokedReason};

use super::epochs::begun;
use super::sessions::By;
use crate::store::{Conn, Error, Result, hash_text, on};

#[derive(FromRow)]
struct Row {
    revoked_at: Option<i64>,
    revoked_reason: Option<String>,
    expires_at: i64,
    idle_expires_at: i64,
    left_at: Option<i64>,
}

/// Records that the browser that held the cookies of an ended session has signed in again. Has no
/// effect on a session that is still live.
pub async fn leave(conn: &mut Conn, by: &By, now: Timestamp) -> Result<()> {
    const BY_TOKEN: &str =
        "UPDATE sessions SET left_at = $1 WHERE token_hash = $2 AND left_at IS NULL";
    const BY_ID: &str = "UPDATE sessions SET left_at = $1 WHERE id = $2 AND left_at IS NULL";
    let (sql, key) = match by {
        By::TokenHash(hash) => (BY_TOKEN, hash_text(hash)),
        By::Id(id) => (BY_ID, id.to_string()),
    };
    on!(conn, c => sqlx::query(sql).bind(now.0).bind(key.as_str()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Marks an expired session as one whose user signed out.
pub async fn sign_out(conn: &mut Conn, by: &By, now: Timestamp) -> Result<()> {
    const BY_TOKEN: &str = "UPDATE sessions SET revoked_at = $1, revoked_reason = $2 WHERE token_hash = $3 AND revoked_at IS NULL";
    const BY_ID: &str = "UPDATE sessions SET revoked_at = $1, revoked_reason = $2 WHERE id = $3 AND revoked_at IS NULL";
    let (sql, key) = match by {
        By::TokenHash(hash) => (BY_TOKEN, hash_text(hash)),
        By::Id(id) => (BY_ID, id.to_string()),
    };
    let reason = RevokedReason::SignOut.as_str();
    on!(conn, c => sqlx::query(sql).bind(now.0).bind(reason).bind(key.as_str()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the user of a session token, whether or not the session is live; `None` if the session
/// does not exist any more.
pub async fn owner_of(conn: &mut Conn, token_hash: [u8; 32]) -> Result<Option<UserId>> {
    const OWNER: &str = "SELECT user_id FROM sessions WHERE token_hash = $1";
    let row: Option<(String,)> =
        on!(conn, c => sqlx::query_as(OWNER).bind(hash_text(&token_hash)).fetch_optional(c).await)?;
    row.map(|(id,)| {
        id.parse().map_err(|_| Error::Corrupt {
            table: "sessions",
            column: "user_id",
        })
    })
    .transpose()
}

/// Returns how a session that is not live has ended; `None` if the session does not exist any more.
pub async fn end_of(conn: &mut Conn, by: &By, now: Timestamp) -> Result<Option<End>> {
    macro_rules! ended {
        ($key:literal) => {
            concat!(
                "SELECT revoked_at, revoked_reason, CASE WHEN ",
                begun!("sessions", "CAST($2 AS BIGINT)"),
                " THEN expires_at ELSE 0 END AS expires_at, idle_expires_at, left_at FROM sessions WHERE ",
                $key,
                " = $1"
            )
        };
    }
    const BY_TOKEN: &str = ended!("token_hash");
    const BY_ID: &str = ended!("id");
    let (sql, key) = match by {
        By::TokenHash(hash) => (BY_TOKEN, hash_text(hash)),
        By::Id(id) => (BY_ID, id.to_string()),
    };
    let row: Option<Row> =
        on!(conn, c => sqlx::query_as(sql).bind(key.as_str()).bind(now.0).fetch_optional(c).await)?;
    Ok(row.map(|row| {
        let is = |reason: RevokedReason| row.revoked_reason.as_deref() == Some(reason.as_str());
        match row.revoked_at {
            _ if row.left_at.is_some() => End::Replaced,
            Some(_) if is(RevokedReason::Replaced) => End::Replaced,
            Some(at) if is(RevokedReason::SignOut) => End::SignedOut(Timestamp(at)),
            None if row.expires_at <= now.0 || row.idle_expires_at <= now.0 => End::Expired,
            // Its own row has no end: its user was banned or disabled, or all sessions of the user
            // were ended.
            Some(_) | None => End::Revoked,
        }
    }))
}
