//! Ends many sessions by one row. A session stores the epoch that its user had when it began, and
//! is live only while the user still has that epoch: raising it ends all of them at once, however
//! many there are. Every statement that asks whether a session is live contains `in_force!`; an
//! architecture test finds statements that do not.

use crate::model::kernel::id::{SessionId, UserId};

use crate::store::{Conn, Result, on};

/// SQL: whether a row of `sessions` has not been ended: neither by itself, nor by an epoch, nor,
/// during an impersonation, by the end of the admin's own session. An epoch of the admin ends both,
/// and a missing row counts as ended. The argument is the name of the table in the statement. The
/// epochs of the user and of the key ring only rise, so their sum is unchanged only if neither was
/// raised.
macro_rules! in_force {
    ($s:literal) => {
        concat!(
            "(",
            $s,
            ".revoked_at IS NULL
              AND ",
            $s,
            ".epoch = (SELECT session_epoch FROM users WHERE users.id = ",
            $s,
            ".user_id) + (SELECT epoch FROM key_ring WHERE key_ring.id = 1)
              AND (",
            $s,
            ".impersonated_by IS NULL OR (",
            $s,
            ".acting_epoch = (SELECT acting_epoch FROM users WHERE users.id = ",
            $s,
            ".impersonated_by)
                                                     + (SELECT epoch FROM key_ring WHERE key_ring.id = 1)
                   AND (",
            $s,
            ".acting_session IS NULL
                        OR EXISTS (SELECT 1 FROM sessions own WHERE own.id = ",
            $s,
            ".acting_session AND own.revoked_at IS NULL)))))"
        )
    };
}

/// SQL: whether a row of `sessions` has begun. The arguments are the name of the table in the
/// statement and the parameter with the time. A row that began more than a day after now, and more
/// than a day after the last confirmed time, was written by a clock that was ahead. It would be
/// live for as long as that clock was ahead, so it counts as ended. The last confirmed time is
/// considered so that a process whose own clock is behind ends nothing.
macro_rules! begun {
    ($s:literal, $now:literal) => {
        concat!(
            "(",
            $s,
            ".created_at <= ",
            $now,
            " + 86400000 OR ",
            $s,
            ".created_at <= (SELECT confirmed_at FROM clock WHERE clock.id = 1) + 86400000)"
        )
    };
}

/// SQL: the rows of `sessions s` that belong to a user (`$1`) and have the user's epoch. The index
/// `sessions_live_of_user` covers exactly these.
macro_rules! live_of_user {
    () => {
        concat!(
            "s.user_id = $1 AND s.epoch = (SELECT session_epoch FROM users WHERE users.id = $1) + (SELECT epoch FROM key_ring WHERE key_ring.id = 1)
              AND s.revoked_at IS NULL AND ",
            $crate::store::session::epochs::in_force!("s")
        )
    };
}

pub(in crate::store) use {begun, in_force, live_of_user};

/// The epochs that sessions of a user store from now on.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Epochs {
    /// The epoch of the user's own sessions.
    pub session: i64,
    /// The epoch of sessions in which the user impersonates another user.
    pub acting: i64,
}

/// Ends every session of a user, and every one in which the user impersonates another user, except
/// `spared`, by one change of the user's row. Returns `None` if the user does not exist.
pub(in crate::store) async fn raise_of_user(
    conn: &mut Conn,
    user: UserId,
    spared: Option<SessionId>,
) -> Result<Option<Epochs>> {
    const RAISE: &str = "UPDATE users SET session_epoch = session_epoch + 1, acting_epoch = acting_epoch + 1 WHERE id = $1
         RETURNING session_epoch + (SELECT epoch FROM key_ring WHERE key_ring.id = 1), acting_epoch + (SELECT epoch FROM key_ring WHERE key_ring.id = 1)";
    // Only a session that was in force gets the new epoch; one that had ended stays ended.
    const SPARE: &str = "UPDATE sessions SET epoch = CASE WHEN user_id = $1 THEN epoch + 1 ELSE epoch END,
                acting_epoch = CASE WHEN impersonated_by = $1 THEN acting_epoch + 1 ELSE acting_epoch END
          WHERE id = $2 AND revoked_at IS NULL AND (user_id = $1 OR impersonated_by = $1)
            AND (user_id <> $1 OR epoch = $3 - 1) AND (impersonated_by IS NULL OR impersonated_by <> $1 OR acting_epoch = $4 - 1)";
    let rows: Vec<(i64, i64)> =
        on!(conn, c => sqlx::query_as(RAISE).bind(user.to_string()).fetch_all(c).await)?;
    let Some(&(session, acting)) = rows.first() else {
        return Ok(None);
    };
    if let Some(spared) = spared {
        on!(conn, c => sqlx::query(SPARE).bind(user.to_string()).bind(spared.to_string()).bind(session).bind(acting).execute(c).await.map(|_| ()))?;
    }
    Ok(Some(Epochs { session, acting }))
}

/// Ends every session in which a user impersonates another one; the user's own sessions stay.
/// Returns the new epoch of such sessions.
pub(in crate::store) async fn raise_acting(conn: &mut Conn, user: UserId) -> Result<Option<i64>> {
    const RAISE: &str = "UPDATE users SET acting_epoch = acting_epoch + 1 WHERE id = $1
         RETURNING acting_epoch + (SELECT epoch FROM key_ring WHERE key_ring.id = 1)";
    let rows: Vec<(i64,)> =
        on!(conn, c => sqlx::query_as(RAISE).bind(user.to_string()).fetch_all(c).await)?;
    Ok(rows.first().map(|(epoch,)| *epoch))
}

/// Returns the epoch that rises when all sessions of all users end.
pub async fn of_everybody(conn: &mut Conn) -> Result<i64> {
    let (epoch,): (i64,) = on!(conn, c => sqlx::query_as("SELECT epoch FROM key_ring WHERE id = 1").fetch_one(c).await)?;
    Ok(epoch)
}

/// Ends all sessions of all users, and every link that was sent in a mail.
pub(in crate::store) async fn raise_everybody(conn: &mut Conn) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE key_ring SET epoch = epoch + 1 WHERE id = 1").execute(c).await.map(|_| ()))?;
    Ok(())
}
