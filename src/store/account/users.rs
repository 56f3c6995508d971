//! Users and their accounts, which are their ways to sign in.

use serde_json::{Map, Value};
use sqlx::FromRow;

use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;

use crate::store::{Conn, Error, Result, on};

#[derive(FromRow)]
pub(in crate::store) struct Row {
    id: String,
    email: String,
    email_verified: i64,
    name: String,
    image: Option<String>,
    role: String,
    banned: i64,
    ban_reason: Option<String>,
    ban_expires_at: Option<i64>,
    disabled_at: Option<i64>,
    metadata: String,
    version: i64,
    login_epoch: i64,
    two_factor: i64,
    created_at: i64,
    updated_at: i64,
}

/// The columns of `Row`, by name: a statement that is already prepared must not get a column that a
/// newer version adds.
macro_rules! user_columns {
    () => {
        "u.id, u.email, u.email_verified, u.name, u.image, u.role, u.banned, u.ban_reason, u.ban_expires_at, u.disabled_at, u.metadata, u.version, \
         u.login_epoch, u.two_factor, u.created_at, u.updated_at"
    };
}

pub(in crate::store) use user_columns;

macro_rules! with_password {
    () => {
        concat!("SELECT ", user_columns!(), ", u.language, a.password_hash, CAST(CASE WHEN a.password_epoch < (SELECT password_epoch FROM key_ring WHERE key_ring.id = 1) THEN 1 ELSE 0 END AS BIGINT) AS must_replace FROM users u LEFT JOIN accounts a ON a.user_id = u.id AND a.provider_id = 'credential'")
    };
}

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "users",
        column,
    }
}

impl TryFrom<Row> for User {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let metadata: Map<String, Value> =
            serde_json::from_str(&row.metadata).map_err(|_| corrupt("metadata"))?;
        Ok(Self {
            id: row.id.parse().map_err(|_| corrupt("id"))?,
            email: row.email.parse().map_err(|_| corrupt("email"))?,
            email_verified: row.email_verified != 0,
            name: row.name,
            image: row.image,
            role: row.role,
            banned: row.banned != 0,
            ban_reason: row.ban_reason,
            ban_expires_at: row.ban_expires_at.map(Timestamp),
            disabled_at: row.disabled_at.map(Timestamp),
            metadata,
            version: row.version,
            login_epoch: row.login_epoch,
            two_factor: row.two_factor != 0,
            created_at: Timestamp(row.created_at),
            updated_at: Timestamp(row.updated_at),
        })
    }
}

/// A user and the stored password hash, if there is one.
pub struct WithPassword {
    /// The row of the user.
    pub user: User,
    /// The hash as a PHC string.
    pub password_hash: Option<String>,
    /// Whether the password has to be replaced before it opens a session again.
    pub must_replace: bool,
    /// The language of the user's mails; `None` if it is not known.
    pub language: Option<String>,
}

#[derive(FromRow)]
struct PasswordRow {
    #[sqlx(flatten)]
    user: Row,
    password_hash: Option<String>,
    must_replace: i64,
    language: Option<String>,
}

/// Inserts a user, with or without a password; `Conflict` if the email address or the id is taken.
pub async fn insert(
    conn: &mut Conn,
    user: &User,
    account: EventId,
    password_hash: Option<&str>,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO users (id, email, email_verified, name, image, role, banned, ban_reason, ban_expires_at, disabled_at, metadata, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $10, $11, $12, $13, $7, $8, $9, $14)")
        .bind(user.id.to_string())
        .bind(user.email.as_str())
        .bind(i64::from(user.email_verified))
        .bind(user.name.as_str())
        .bind(user.image.as_deref())
        .bind(user.role.as_str())
        .bind(Value::Object(user.metadata.clone()).to_string())
        .bind(user.version)
        .bind(user.created_at.0)
        .bind(i64::from(user.banned))
        .bind(user.ban_reason.as_deref())
        .bind(user.ban_expires_at.map(|at| at.0))
        .bind(user.disabled_at.map(|at| at.0))
        .bind(user.updated_at.0)
        .execute(c).await.map(|_| ()))?;
    let Some(password_hash) = password_hash else {
        return Ok(());
    };
    insert_password(conn, user.id, account, password_hash, user.updated_at).await
}

/// Adds a password to a user without one; `Conflict` if there is one.
async fn insert_password(
    conn: &mut Conn,
    user: UserId,
    account: EventId,
    password_hash: &str,
    now: Timestamp,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO accounts (id, user_id, provider_id, account_id, password_hash, created_at, updated_at, password_epoch)
         VALUES ($1, $2, 'credential', $2, $3, $4, $4, (SELECT password_epoch FROM key_ring WHERE key_ring.id = 1))")
        .bind(account.to_string())
        .bind(user.to_string())
        .bind(password_hash)
        .bind(now.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the user with this email address and the password hash.
pub async fn by_email(conn: &mut Conn, email: &Email) -> Result<Option<WithPassword>> {
    let row: Option<PasswordRow> = on!(conn, c => sqlx::query_as(concat!(with_password!(), " WHERE u.email = $1 AND u.deleted_at IS NULL"))
        .bind(email.as_str()).fetch_optional(c).await)?;
    row.map(with_password).transpose()
}

/// Returns the user with this id and the password hash.
pub async fn by_id(conn: &mut Conn, id: UserId) -> Result<Option<WithPassword>> {
    let row: Option<PasswordRow> = on!(conn, c => sqlx::query_as(concat!(with_password!(), " WHERE u.id = $1 AND u.deleted_at IS NULL"))
        .bind(id.to_string()).fetch_optional(c).await)?;
    row.map(with_password).transpose()
}

fn with_password(row: PasswordRow) -> Result<WithPassword> {
    Ok(WithPassword {
        user: row.user.try_into()?,
        password_hash: row.password_hash,
        must_replace: row.must_replace != 0,
        language: row.language,
    })
}

/// Replaces the hash of an unchanged password if it is still `current`; returns whether it did.
/// What is bound to the password stays valid.
pub async fn rehash(
    conn: &mut Conn,
    id: UserId,
    current: &str,
    new: &str,
    now: Timestamp,
) -> Result<bool> {
    replace_hash(conn, id, Some(current), new, Password::Same, now).await
}

/// Sets a new password if the stored hash is still `current` or, without `current`, in any case.
/// Returns `false` if the hash has changed. All known devices of the user become unknown.
pub async fn set_password(
    conn: &mut Conn,
    id: UserId,
    account: EventId,
    current: Option<&str>,
    new: &str,
    now: Timestamp,
) -> Result<bool> {
    if !replace_hash(conn, id, current, new, Password::New, now).await? {
        if current.is_some() {
            return Ok(false);
        }
        insert_password(conn, id, account, new, now).await?;
    }
    raise_login_epoch(conn, id, now).await?;
    Ok(true)
}

/// Whether a new hash is one of the same password.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Password {
    Same,
    New,
}

async fn replace_hash(
    conn: &mut Conn,
    id: UserId,
    current: Option<&str>,
    new: &str,
    password: Password,
    now: Timestamp,
) -> Result<bool> {
    let changed = on!(conn, c => sqlx::query(
        "UPDATE accounts SET password_hash = $1, updated_at = $2,
                password_epoch = CASE WHEN $5 = 1 THEN (SELECT password_epoch FROM key_ring WHERE key_ring.id = 1) ELSE password_epoch END
          WHERE user_id = $3 AND provider_id = 'credential' AND ($4 IS NULL OR password_hash = $4)")
        .bind(new).bind(now.0).bind(id.to_string()).bind(current).bind(i64::from(password == Password::New))
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Deletes every way to sign in that the user has, including the password. All known devices of the
/// user become unknown.
pub async fn drop_accounts(conn: &mut Conn, id: UserId, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM accounts WHERE user_id = $1").bind(id.to_string()).execute(c).await.map(|_| ()))?;
    raise_login_epoch(conn, id, now).await
}

/// Ends what is bound to the present `users.login_epoch`: pending sign-ins, known and remembered
/// devices of the user.
pub async fn raise_login_epoch(conn: &mut Conn, id: UserId, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE users SET login_epoch = login_epoch + 1, version = version + 1, updated_at = $1 WHERE id = $2")
        .bind(now.0).bind(id.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Disables (`Some`) or enables (`None`) the user; returns whether that changed anything.
pub async fn set_disabled(
    conn: &mut Conn,
    id: UserId,
    disabled_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let changed = on!(conn, c => sqlx::query(
        "UPDATE users SET disabled_at = $1, version = version + 1, updated_at = $2 WHERE id = $3 AND (disabled_at IS NULL) <> ($4 = 0)")
        .bind(disabled_at.map(|t| t.0)).bind(now.0).bind(id.to_string()).bind(i64::from(disabled_at.is_some()))
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// One way in which a user can sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The id of the account's row.
    pub id: String,
    /// The provider; `credential` is a password.
    pub provider_id: String,
    /// The user's id at that provider; for a password the id of this service.
    pub account_id: String,
    /// The scopes that its issuer granted last, with spaces between them.
    pub scopes: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Returns the accounts of a user, oldest first.
pub async fn accounts(conn: &mut Conn, user: UserId) -> Result<Vec<Account>> {
    let rows: Vec<(String, String, String, Option<String>, i64, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT id, provider_id, account_id, scopes, created_at, updated_at FROM accounts WHERE user_id = $1 ORDER BY created_at, id")
        .bind(user.to_string()).fetch_all(c).await)?;
    let account = |(id, provider_id, account_id, scopes, created, updated)| Account {
        id,
        provider_id,
        account_id,
        scopes: Option::unwrap_or_default(scopes),
        created_at: Timestamp(created),
        updated_at: Timestamp(updated),
    };
    Ok(rows.into_iter().map(account).collect())
}
