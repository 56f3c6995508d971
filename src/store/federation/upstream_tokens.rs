//! The tokens of other issuers that are kept of linked identities, sealed: at most one row for each row
//! of `accounts`, which goes with it.

use sqlx::FromRow;

use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Error, Result, locking, on};

/// The tokens that are kept of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The tokens as they are sealed.
    pub tokens_jwe: String,
    /// When the access token expires, if the issuer says it.
    pub expires_at: Option<Timestamp>,
    /// Until when one process may renew them and no other one.
    pub renewing_until: Option<Timestamp>,
    /// When the issuer gave them, or took the refresh token back.
    pub updated_at: Timestamp,
}

/// Tokens that are to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Sealed<'s> {
    /// The tokens as they are sealed.
    pub tokens_jwe: &'s str,
    /// The id of the master key that they are sealed under.
    pub master_key: &'s str,
    /// When the access token expires, if the issuer says it.
    pub expires_at: Option<Timestamp>,
}

#[derive(FromRow)]
struct Row {
    tokens_jwe: String,
    expires_at: Option<i64>,
    renewing_until: Option<i64>,
    updated_at: i64,
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        Self {
            tokens_jwe: row.tokens_jwe,
            expires_at: row.expires_at.map(Timestamp),
            renewing_until: row.renewing_until.map(Timestamp),
            updated_at: Timestamp(row.updated_at),
        }
    }
}

macro_rules! find {
    () => {
        "SELECT tokens_jwe, expires_at, renewing_until, updated_at FROM upstream_tokens WHERE account_id = $1"
    };
}

/// Returns the tokens that are kept of an identity.
pub async fn find(conn: &mut Conn, account: EventId) -> Result<Option<Stored>> {
    let row: Option<Row> = on!(conn, c => sqlx::query_as(find!())
        .bind(account.to_string()).fetch_optional(c).await)?;
    Ok(row.map(Stored::from))
}

/// Returns the tokens that are kept of an identity, and locks them until the transaction ends.
pub async fn lock(conn: &mut Conn, account: EventId) -> Result<Option<Stored>> {
    const FIND: Locking = locking!(find!());
    let sql = FIND.on(conn);
    let rows: Vec<Row> =
        on!(conn, c => sqlx::query_as(sql).bind(account.to_string()).fetch_all(c).await)?;
    Ok(rows.into_iter().next().map(Stored::from))
}

/// Keeps tokens in the place of those that were kept.
pub async fn keep(
    conn: &mut Conn,
    account: EventId,
    sealed: Sealed<'_>,
    now: Timestamp,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO upstream_tokens (account_id, tokens_jwe, master_key, expires_at, updated_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (account_id) DO UPDATE
            SET tokens_jwe = excluded.tokens_jwe, master_key = excluded.master_key, expires_at = excluded.expires_at, updated_at = excluded.updated_at")
        .bind(account.to_string()).bind(sealed.tokens_jwe).bind(sealed.master_key)
        .bind(sealed.expires_at.map(|at| at.0)).bind(now.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Forgets the tokens that are kept of an identity.
pub async fn remove(conn: &mut Conn, account: EventId) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM upstream_tokens WHERE account_id = $1")
        .bind(account.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Takes the right to renew the tokens, until `until`, and returns them. `None` if another process has
/// it, or nothing is kept.
pub async fn claim(
    conn: &mut Conn,
    account: EventId,
    until: Timestamp,
    now: Timestamp,
) -> Result<Option<Stored>> {
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(
        "UPDATE upstream_tokens SET renewing_until = $1 WHERE account_id = $2 AND (renewing_until IS NULL OR renewing_until <= $3)
         RETURNING tokens_jwe, expires_at, renewing_until, updated_at")
        .bind(until.0).bind(account.to_string()).bind(now.0).fetch_all(c).await)?;
    Ok(rows.into_iter().next().map(Stored::from))
}

/// Gives the right to renew the tokens back that was taken until `until`.
pub async fn release(conn: &mut Conn, account: EventId, until: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE upstream_tokens SET renewing_until = NULL WHERE account_id = $1 AND renewing_until = $2")
        .bind(account.to_string()).bind(until.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns tokens that are sealed under another master key than this one, in the order of their
/// accounts and after the account `after`.
pub async fn sealed_otherwise(
    conn: &mut Conn,
    master_key: &str,
    after: Option<EventId>,
    limit: i64,
) -> Result<Vec<(EventId, String)>> {
    let rows: Vec<(String, String)> = on!(conn, c => sqlx::query_as(
        "SELECT account_id, tokens_jwe FROM upstream_tokens WHERE master_key <> $1 AND account_id > $2 ORDER BY account_id LIMIT $3")
        .bind(master_key).bind(after.map(|account| account.to_string()).unwrap_or_default()).bind(limit).fetch_all(c).await)?;
    rows.into_iter()
        .map(|(account, jwe)| {
            let account = account.parse().map_err(|_| Error::Corrupt {
                table: "upstream_tokens",
                column: "account_id",
            })?;
            Ok((account, jwe))
        })
        .collect()
}

/// Returns the ids of the master keys that tokens are sealed under, with the number of identities.
pub async fn master_keys(conn: &mut Conn) -> Result<Vec<(String, i64)>> {
    let rows = on!(conn, c => sqlx::query_as(
        "SELECT master_key, COUNT(*) FROM upstream_tokens GROUP BY master_key ORDER BY master_key")
        .fetch_all(c).await)?;
    Ok(rows)
}

/// Replaces sealed tokens by the same tokens under another master key; does nothing if they have
/// changed meanwhile.
pub async fn reseal(
    conn: &mut Conn,
    account: EventId,
    before: &str,
    after: &str,
    master_key: &str,
) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE upstream_tokens SET tokens_jwe = $1, master_key = $2 WHERE account_id = $3 AND tokens_jwe = $4")
        .bind(after).bind(master_key).bind(account.to_string()).bind(before).execute(c).await.map(|_| ()))?;
    Ok(())
}
