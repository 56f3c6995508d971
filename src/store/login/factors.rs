//! What an account can prove, and whether its user turned two-step sign-in on.

use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::Factors;
use crate::store::{Conn, Result, on};

use super::{recovery_codes, totp};

/// Returns what the account can prove.
pub async fn of_user(conn: &mut Conn, user: UserId) -> Result<Factors> {
    let row: Option<(i64, i64, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM accounts a WHERE a.user_id = $1 AND a.password_hash IS NOT NULL) THEN 1 ELSE 0 END AS BIGINT),
                CAST(CASE WHEN EXISTS (SELECT 1 FROM totp t WHERE t.user_id = $1 AND t.confirmed_at IS NOT NULL) THEN 1 ELSE 0 END AS BIGINT),
                CAST(CASE WHEN EXISTS (SELECT 1 FROM recovery_codes r WHERE r.user_id = $1) THEN 1 ELSE 0 END AS BIGINT)")
        .bind(user.to_string()).fetch_optional(c).await)?;
    let (password, totp, codes) = row.unwrap_or_default();
    let mut factors = Factors::empty();
    factors.set(Factors::PASSWORD, password != 0);
    factors.set(Factors::TOTP, totp != 0);
    // The codes of an app that was never confirmed stand for no device.
    factors.set(Factors::RECOVERY_CODE, codes != 0 && totp != 0);
    Ok(factors)
}

/// Turns two-step sign-in on or off. Pending sign-ins, known and remembered devices of the user end
/// with the old `login_epoch`.
pub async fn set_two_step(conn: &mut Conn, user: UserId, on: bool, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE users SET two_factor = $1, login_epoch = login_epoch + 1, version = version + 1, updated_at = $2 WHERE id = $3")
        .bind(i64::from(on)).bind(now.0).bind(user.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Removes every factor beside the password, and turns two-step sign-in off. Returns whether that
/// changed what a sign-in asks for; a secret that was never confirmed is removed in any case.
pub async fn remove_all(conn: &mut Conn, user: UserId, now: Timestamp) -> Result<bool> {
    let had_totp = totp::remove(conn, user).await?;
    recovery_codes::remove(conn, user).await?;
    let rows: Vec<(i64,)> = on!(conn, c => sqlx::query_as("SELECT two_factor FROM users WHERE id = $1")
        .bind(user.to_string()).fetch_all(c).await)?;
    let was_on = rows.iter().any(|(two_factor,)| *two_factor != 0);
    if had_totp || was_on {
        set_two_step(conn, user, false, now).await?;
    }
    Ok(had_totp || was_on)
}
