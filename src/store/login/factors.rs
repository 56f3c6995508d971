//! What an account can prove, and whether its user turned two-step sign-in on.

use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::Factors;
use crate::store::{Conn, Result, on};

use super::{passkeys, recovery_codes, totp};

/// Returns what the account can prove.
pub async fn of_user(conn: &mut Conn, user: UserId) -> Result<Factors> {
    let row: Option<(i64, i64, i64, i64, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM accounts a WHERE a.user_id = $1 AND a.password_hash IS NOT NULL) THEN 1 ELSE 0 END AS BIGINT),
                CAST(CASE WHEN EXISTS (SELECT 1 FROM totp t WHERE t.user_id = $1 AND t.confirmed_at IS NOT NULL) THEN 1 ELSE 0 END AS BIGINT),
                CAST(CASE WHEN EXISTS (SELECT 1 FROM recovery_codes r WHERE r.user_id = $1) THEN 1 ELSE 0 END AS BIGINT),
                CAST(CASE WHEN EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = $1) THEN 1 ELSE 0 END AS BIGINT),
                CAST(CASE WHEN EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = $1 AND p.uv <> 0) THEN 1 ELSE 0 END AS BIGINT)")
        .bind(user.to_string()).fetch_optional(c).await)?;
    let (password, totp, codes, passkey, verified) = row.unwrap_or_default();
    let mut factors = Factors::empty();
    factors.set(Factors::PASSWORD, password != 0);
    factors.set(Factors::TOTP, totp != 0);
    // The codes of an app that was never confirmed stand for no device.
    factors.set(Factors::RECOVERY_CODE, codes != 0 && totp != 0);
    // An authenticator that can verify its user does not always do so.
    factors.set(Factors::PASSKEY, passkey != 0);
    factors.set(Factors::VERIFIED_PASSKEY, verified != 0);
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

/// What is to be removed of the factors of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The authenticator app and the recovery codes.
    pub totp: bool,
    /// Every passkey of the user.
    pub passkeys: bool,
}

impl Scope {
    /// Everything beside the password.
    pub const ALL: Self = Self {
        totp: true,
        passkeys: true,
    };

    /// Every passkey, and nothing else.
    pub const PASSKEYS: Self = Self {
        totp: false,
        passkeys: true,
    };

    /// Returns everything if nothing is named.
    #[must_use]
    pub fn or_all(self) -> Self {
        if self.totp || self.passkeys {
            self
        } else {
            Self::ALL
        }
    }

    /// The authenticator app and the recovery codes alone.
    pub const TOTP: Self = Self {
        totp: true,
        passkeys: false,
    };
}

/// Removes factors beside the password. Two-step sign-in is turned off with the authenticator app, and where
/// nothing is left that it could ask for; `mailed` says whether it can ask for a code in a mail. Returns
/// whether that changed what a sign-in asks for or takes; a secret that was never confirmed is removed in
/// any case.
pub async fn remove(
    conn: &mut Conn,
    user: UserId,
    scope: Scope,
    mailed: bool,
    now: Timestamp,
) -> Result<bool> {
    let had_passkeys = scope.passkeys && passkeys::remove_all(conn, user).await? > 0;
    let had_totp = scope.totp && totp::remove(conn, user).await?;
    if scope.totp {
        recovery_codes::remove(conn, user).await?;
    }
    let rows: Vec<(i64,)> = on!(conn, c => sqlx::query_as("SELECT two_factor FROM users WHERE id = $1")
        .bind(user.to_string()).fetch_all(c).await)?;
    let is_on = rows.iter().any(|(two_factor,)| *two_factor != 0);
    let turns_off = is_on && (scope.totp || !mailed && !has_device(conn, user).await?);
    if had_totp || had_passkeys || turns_off {
        set_two_step(conn, user, is_on && !turns_off, now).await?;
    }
    Ok(had_totp || had_passkeys || turns_off)
}

/// Returns whether the user has a device that a second step can ask for.
pub async fn has_device(conn: &mut Conn, user: UserId) -> Result<bool> {
    let devices = Factors::TOTP | Factors::PASSKEY;
    Ok(of_user(conn, user).await?.intersects(devices))
}
