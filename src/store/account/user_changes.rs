//! Changes of a user, made by the user, an admin or an operator. Every change raises
//! `users.version`, which invalidates cached copies of the user.

use serde_json::{Map, Value};

use crate::model::account::action::Field;
use crate::model::account::email::Email;
use crate::model::account::profile::{DisplayName, ImageUrl};
use crate::model::account::user::User;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::ConfirmedNow;

use super::users::{Row, user_columns};
use crate::store::engine::row_locks::Locking;
use crate::store::session::endings::Cause;
use crate::store::{Conn, Error, Result, locking, on};

/// Sets or lifts a ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ban {
    /// The user is banned from now on.
    Set {
        /// The reason that the admin gave.
        reason: String,
        /// End of the ban; `None` for a ban without end.
        ends_at: Option<Timestamp>,
    },
    /// The ban is lifted.
    Lifted,
}

/// The columns to change; `None` leaves a column as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Display name; may be empty.
    pub name: Option<DisplayName>,
    /// Canonical email address; `Conflict` if it belongs to another user.
    pub email: Option<Email>,
    /// Whether the mailbox is verified.
    pub email_verified: Option<bool>,
    /// URL of a picture; an empty text removes it.
    pub image: Option<ImageUrl>,
    /// Role names, joined by commas.
    pub role: Option<String>,
    /// Sets or lifts a ban.
    pub ban: Option<Ban>,
    /// The complete new metadata.
    pub metadata: Option<Map<String, Value>>,
}

impl Changes {
    /// Returns whether nothing would change.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the fields that would be set.
    pub fn fields(&self) -> Vec<Field> {
        let Self {
            name,
            email,
            email_verified,
            image,
            role,
            ban,
            metadata,
        } = self;
        let set = [
            (Field::Name, name.is_some()),
            (Field::Email, email.is_some()),
            (Field::EmailVerified, email_verified.is_some()),
            (Field::Image, image.is_some()),
            (Field::Role, role.is_some()),
            (Field::Ban, ban.is_some()),
            (Field::Metadata, metadata.is_some()),
        ];
        set.into_iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(field, _)| field)
            .collect()
    }
}

/// Changes a user and returns the new row; `None` if the user does not exist.
pub async fn change(
    conn: &mut Conn,
    id: UserId,
    changes: &Changes,
    now: Timestamp,
) -> Result<Option<User>> {
    let (banned, reason, ends_at) = match &changes.ban {
        None => (None, None, None),
        Some(Ban::Lifted) => (Some(0_i64), None, None),
        Some(Ban::Set { reason, ends_at }) => {
            (Some(1), Some(reason.as_str()), ends_at.map(|t| t.0))
        }
    };
    on!(conn, c => sqlx::query(
        "UPDATE users
            SET name = COALESCE($1, name), email = COALESCE($2, email), email_verified = COALESCE(CAST($3 AS BIGINT), email_verified),
                image = CASE WHEN $4 IS NULL THEN image ELSE NULLIF($4, '') END, role = COALESCE($5, role),
                banned = COALESCE(CAST($6 AS BIGINT), banned), ban_reason = CASE WHEN CAST($6 AS BIGINT) IS NULL THEN ban_reason ELSE $7 END,
                ban_expires_at = CASE WHEN CAST($6 AS BIGINT) IS NULL THEN ban_expires_at ELSE CAST($8 AS BIGINT) END,
                metadata = COALESCE($9, metadata),
                login_epoch = login_epoch + CASE WHEN $2 IS NULL OR email = $2 THEN 0 ELSE 1 END, version = version + 1, updated_at = $10
          WHERE id = $11")
        .bind(changes.name.as_deref())
        .bind(changes.email.as_ref().map(Email::as_str))
        .bind(changes.email_verified.map(i64::from))
        .bind(changes.image.as_deref())
        .bind(changes.role.as_deref())
        .bind(banned)
        .bind(reason)
        .bind(ends_at)
        .bind(changes.metadata.clone().map(|m| Value::Object(m).to_string()))
        .bind(now.0)
        .bind(id.to_string())
        .execute(c).await.map(|_| ()))?;
    lock(conn, id).await
}

/// Deletes a user with all their rows; returns whether the user existed. If there are many
/// sessions, the user's row stays, without personal data, until a background job has deleted them;
/// no query finds it any more.
pub async fn delete(conn: &mut Conn, id: UserId, cause: &Cause) -> Result<bool> {
    // They are of the email address, whether or not it has an account.
    on!(conn, c => sqlx::query("DELETE FROM login_codes WHERE email = (SELECT email FROM users WHERE users.id = $1)")
        .bind(id.to_string()).execute(c).await.map(|_| ()))?;
    if crate::store::session::ending_notes::has_many_rows(conn, id).await? {
        return empty(conn, id, cause).await;
    }
    let deleted = on!(conn, c => sqlx::query("DELETE FROM users WHERE id = $1 AND deleted_at IS NULL")
        .bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(deleted == 1)
}

async fn empty(conn: &mut Conn, id: UserId, cause: &Cause) -> Result<bool> {
    const EMPTY: &str =
        "UPDATE users SET email = 'deleted.' || id || '@invalid', email_verified = 0, name = '', image = NULL, role = 'user', banned = 0, ban_reason = NULL,
                ban_expires_at = NULL, metadata = '{}', language = NULL, unproven_until = NULL, disabled_at = $1, deleted_at = $1, updated_at = $1, version = version + 1,
                session_epoch = session_epoch + 1, acting_epoch = acting_epoch + 1
          WHERE id = $2 AND deleted_at IS NULL";
    let emptied = on!(conn, c => sqlx::query(EMPTY).bind(cause.at.0).bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    if emptied == 0 {
        return Ok(false);
    }
    for sql in [
        "DELETE FROM accounts WHERE user_id = $1",
        "DELETE FROM mail_tokens WHERE user_id = $1",
        "DELETE FROM totp WHERE user_id = $1",
        "DELETE FROM recovery_codes WHERE user_id = $1",
        "DELETE FROM login_challenges WHERE user_id = $1",
        "DELETE FROM login_codes WHERE user_id = $1",
        "DELETE FROM foreign_ids WHERE user_id = $1",
        "UPDATE import_rows SET user_id = NULL WHERE user_id = $1",
    ] {
        on!(conn, c => sqlx::query(sql).bind(id.to_string()).execute(c).await.map(|_| ()))?;
    }
    crate::store::session::ending_notes::delete_later(conn, id, cause).await?;
    Ok(true)
}

/// Sets the time at which the user is deleted, unless the mailbox has been verified or another
/// party has changed the user by then.
pub async fn expect_proof(conn: &mut Conn, id: UserId, until: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE users SET unproven_until = $1 WHERE id = $2").bind(until.0).bind(id.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Matches unverified sign-ups past their deadline, unmodified and without sessions. Accounts that
/// were edited or signed in are kept.
macro_rules! never_proven {
    ($now:literal) => {
        concat!("unproven_until < ", $now, " AND email_verified = 0 AND version = 1 AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = users.id)")
    };
}

/// Returns unverified sign-ups past their deadline, those with the earliest deadline first.
pub async fn unproven(conn: &mut Conn, now: Timestamp, limit: i64) -> Result<Vec<UserId>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        concat!("SELECT id FROM users WHERE ", never_proven!("$1"), " ORDER BY unproven_until LIMIT $2"))
        .bind(now.0).bind(limit).fetch_all(c).await)?;
    rows.into_iter()
        .map(|(id,)| {
            id.parse().map_err(|_| Error::Corrupt {
                table: "users",
                column: "id",
            })
        })
        .collect()
}

/// Deletes one of them if the row still matches.
pub async fn delete_unproven(conn: &mut Conn, id: UserId, now: ConfirmedNow) -> Result<bool> {
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(false);
    }
    let deleted = on!(conn, c => sqlx::query(concat!("DELETE FROM users WHERE id = $1 AND ", never_proven!("$2")))
        .bind(id.to_string()).bind(now.now().0).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(deleted == 1)
}

/// Locks the user's password until this transaction ends. A transaction that locks both this and
/// the user's row takes this lock first, as a sign-in does.
pub async fn lock_account(conn: &mut Conn, id: UserId) -> Result<()> {
    if conn.is_postgres() {
        on!(conn, c => sqlx::query("SELECT id FROM accounts WHERE user_id = $1 ORDER BY id FOR UPDATE").bind(id.to_string()).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}

/// Reads the user and locks the row until this transaction ends.
pub async fn lock(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    const FIND: Locking = locking!(concat!(
        "SELECT ",
        user_columns!(),
        " FROM users u WHERE u.id = $1 AND u.deleted_at IS NULL"
    ));
    let sql = FIND.on(conn);
    let rows: Vec<Row> =
        on!(conn, c => sqlx::query_as(sql).bind(id.to_string()).fetch_all(c).await)?;
    rows.into_iter().next().map(User::try_from).transpose()
}

/// Reads and locks the users with the role `admin` who can sign in (with a password, and a verified
/// mailbox if that is required), in the order of their ids, so that two admins who remove each
/// other wait for each other.
pub async fn lock_admins(conn: &mut Conn, proven: bool, now: Timestamp) -> Result<Vec<User>> {
    macro_rules! admins {
        () => {
            " FROM users u WHERE ',' || u.role || ',' LIKE '%,admin,%' AND u.disabled_at IS NULL AND (u.banned = 0 OR u.ban_expires_at <= $1) AND u.email_verified >= $2
               AND EXISTS (SELECT 1 FROM accounts a WHERE a.user_id = u.id AND a.password_hash IS NOT NULL) ORDER BY u.id"
        };
    }
    const FIND: Locking = locking!(concat!("SELECT ", user_columns!(), admins!()));
    let sql = FIND.on(conn);
    let rows: Vec<Row> =
        on!(conn, c => sqlx::query_as(sql).bind(now.0).bind(i64::from(proven)).fetch_all(c).await)?;
    rows.into_iter().map(User::try_from).collect()
}
