//! The passkeys of users, and the handle by which their authenticators know a user.

use sqlx::FromRow;

use crate::encoding::{decode, encode};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::login::passkey::Passkey;
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Error, Result, locking, on};

#[derive(FromRow)]
struct Row {
    id: String,
    user_id: String,
    credential_id: String,
    public_key: String,
    counter: i64,
    aaguid: String,
    transports: String,
    backup_eligible: i64,
    backed_up: i64,
    uv: i64,
    user_handle: Option<String>,
    name: Option<String>,
    created_at: i64,
    last_used_at: Option<i64>,
}

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "passkeys",
        column,
    }
}

impl TryFrom<Row> for Passkey {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let bytes = |text: String, column| decode(&text).ok_or_else(|| corrupt(column));
        Ok(Self {
            id: row.id.parse().map_err(|_| corrupt("id"))?,
            user: row.user_id.parse().map_err(|_| corrupt("user_id"))?,
            credential_id: bytes(row.credential_id, "credential_id")?,
            public_key: bytes(row.public_key, "public_key")?,
            counter: u32::try_from(row.counter).map_err(|_| corrupt("counter"))?,
            aaguid: row.aaguid,
            transports: row.transports,
            backup_eligible: row.backup_eligible != 0,
            backed_up: row.backed_up != 0,
            verifies: row.uv != 0,
            user_handle: row
                .user_handle
                .map(|text| bytes(text, "user_handle"))
                .transpose()?,
            name: row.name,
            created_at: Timestamp(row.created_at),
            last_used_at: row.last_used_at.map(Timestamp),
        })
    }
}

/// SQL: the columns of a row, and what follows them.
macro_rules! passkeys {
    ($rest:expr) => {
        concat!(
            "SELECT id, user_id, credential_id, public_key, counter, aaguid, transports, backup_eligible, backed_up, uv, user_handle, name, created_at, last_used_at
               FROM passkeys ",
            $rest
        )
    };
}

/// Inserts a passkey that is made at `now`.
///
/// # Errors
/// [`Error::Conflict`] if a passkey has this credential id.
pub async fn insert(conn: &mut Conn, passkey: &Passkey, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO passkeys (id, user_id, credential_id, public_key, counter, aaguid, transports, backup_eligible, backed_up, uv, user_handle, name, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
        .bind(passkey.id.to_string())
        .bind(passkey.user.to_string())
        .bind(encode(&passkey.credential_id))
        .bind(encode(&passkey.public_key))
        .bind(i64::from(passkey.counter))
        .bind(passkey.aaguid.as_str())
        .bind(passkey.transports.as_str())
        .bind(i64::from(passkey.backup_eligible))
        .bind(i64::from(passkey.backed_up))
        .bind(i64::from(passkey.verifies))
        .bind(passkey.user_handle.as_ref().map(|handle| encode(handle)))
        .bind(passkey.name.as_deref())
        .bind(now.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the passkeys of a user, oldest first.
pub async fn of_user(conn: &mut Conn, user: UserId) -> Result<Vec<Passkey>> {
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(passkeys!("WHERE user_id = $1 ORDER BY created_at, id"))
        .bind(user.to_string()).fetch_all(c).await)?;
    rows.into_iter().map(Passkey::try_from).collect()
}

/// Returns the passkey with this credential id.
pub async fn by_credential(conn: &mut Conn, credential_id: &[u8]) -> Result<Option<Passkey>> {
    let row: Option<Row> = on!(conn, c => sqlx::query_as(passkeys!("WHERE credential_id = $1"))
        .bind(encode(credential_id)).fetch_optional(c).await)?;
    row.map(Passkey::try_from).transpose()
}

/// Returns one passkey of a user, and locks its row until this transaction ends.
pub async fn lock(conn: &mut Conn, user: UserId, id: EventId) -> Result<Option<Passkey>> {
    const LOCK: Locking = locking!(passkeys!("WHERE id = $1 AND user_id = $2"));
    let sql = LOCK.on(conn);
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(sql)
        .bind(id.to_string()).bind(user.to_string()).fetch_all(c).await)?;
    rows.into_iter().next().map(Passkey::try_from).transpose()
}

/// Keeps what a use of a passkey has shown; its row is locked.
pub async fn keep_use(conn: &mut Conn, used: &Passkey, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE passkeys SET counter = $1, backed_up = $2, uv = $3, user_handle = $4, last_used_at = $5 WHERE id = $6")
        .bind(i64::from(used.counter)).bind(i64::from(used.backed_up)).bind(i64::from(used.verifies))
        .bind(used.user_handle.as_ref().map(|handle| encode(handle)))
        .bind(now.0).bind(used.id.to_string())
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Gives a passkey of a user another name; returns `false` if the user has no such passkey.
pub async fn rename(conn: &mut Conn, user: UserId, id: EventId, name: &str) -> Result<bool> {
    let changed = on!(conn, c => sqlx::query("UPDATE passkeys SET name = $1 WHERE id = $2 AND user_id = $3")
        .bind(name).bind(id.to_string()).bind(user.to_string())
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Removes one passkey of a user; returns `false` if the user has no such passkey.
pub async fn remove(conn: &mut Conn, user: UserId, id: EventId) -> Result<bool> {
    let removed = on!(conn, c => sqlx::query("DELETE FROM passkeys WHERE id = $1 AND user_id = $2")
        .bind(id.to_string()).bind(user.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(removed == 1)
}

/// Removes every passkey of a user; returns how many.
pub async fn remove_all(conn: &mut Conn, user: UserId) -> Result<u64> {
    let removed = on!(conn, c => sqlx::query("DELETE FROM passkeys WHERE user_id = $1")
        .bind(user.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(removed)
}

/// Returns the handle by which authenticators know a user; `None` before the first passkey.
pub async fn handle(conn: &mut Conn, user: UserId) -> Result<Option<Vec<u8>>> {
    let rows: Vec<(Option<String>,)> = on!(conn, c => sqlx::query_as("SELECT passkey_handle FROM users WHERE id = $1")
        .bind(user.to_string()).fetch_all(c).await)?;
    rows.into_iter()
        .find_map(|(handle,)| handle)
        .map(|text| {
            decode(&text).ok_or(Error::Corrupt {
                table: "users",
                column: "passkey_handle",
            })
        })
        .transpose()
}

/// Gives a user this handle, unless there is one already.
pub async fn keep_handle(conn: &mut Conn, user: UserId, drawn: &[u8; 32]) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE users SET passkey_handle = $1 WHERE id = $2 AND passkey_handle IS NULL")
        .bind(encode(drawn)).bind(user.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}
