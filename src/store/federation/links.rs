//! Links between identities of other issuers and users: rows of `accounts` with an issuer.

use sqlx::FromRow;

use crate::model::federation::pending_link::PendingLink;
use crate::model::federation::provider::ProviderId;
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Error, Result, locking, on};

/// An identity that is linked to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Id of the row.
    pub id: EventId,
    /// The user whose account it opens.
    pub user: UserId,
    /// The provider of the settings.
    pub provider: ProviderId,
    /// The issuer that vouched for it.
    pub issuer: String,
    /// The user at the issuer.
    pub subject: String,
    /// The email address that the issuer named last.
    pub email: Option<String>,
    /// The scopes that were granted last, with spaces between them.
    pub scopes: String,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// When it last opened a session.
    pub last_used_at: Option<Timestamp>,
}

#[derive(FromRow)]
struct Row {
    id: String,
    user_id: String,
    provider_id: String,
    issuer: String,
    account_id: String,
    email: Option<String>,
    scopes: Option<String>,
    created_at: i64,
    updated_at: i64,
    last_used_at: Option<i64>,
}

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "accounts",
        column,
    }
}

impl TryFrom<Row> for Link {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.parse().map_err(|_| corrupt("id"))?,
            user: row.user_id.parse().map_err(|_| corrupt("user_id"))?,
            provider: row
                .provider_id
                .parse()
                .map_err(|_| corrupt("provider_id"))?,
            issuer: row.issuer,
            subject: row.account_id,
            email: row.email,
            scopes: row.scopes.unwrap_or_default(),
            created_at: Timestamp(row.created_at),
            updated_at: Timestamp(row.updated_at),
            last_used_at: row.last_used_at.map(Timestamp),
        })
    }
}

macro_rules! columns {
    () => {
        "SELECT a.id, a.user_id, a.provider_id, a.issuer, a.account_id, a.email, a.scopes, a.created_at, a.updated_at, a.last_used_at FROM accounts a"
    };
}

/// Finds the user to whom an identity is linked. An identity of another issuer under the same
/// provider id is not found.
pub async fn owner(conn: &mut Conn, link: &PendingLink) -> Result<Option<UserId>> {
    let row: Option<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT a.user_id FROM accounts a JOIN users u ON u.id = a.user_id
          WHERE a.provider_id = $1 AND a.account_id = $2 AND a.issuer = $3 AND u.deleted_at IS NULL")
        .bind(link.provider.as_str()).bind(link.subject.as_str()).bind(link.issuer.as_str())
        .fetch_optional(c).await)?;
    row.map(|(user,)| user.parse().map_err(|_| corrupt("user_id")))
        .transpose()
}

/// Returns the identities that are linked to a user, oldest first.
pub async fn of_user(conn: &mut Conn, user: UserId) -> Result<Vec<Link>> {
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(concat!(columns!(),
        " WHERE a.user_id = $1 AND a.issuer IS NOT NULL ORDER BY a.created_at, a.id"))
        .bind(user.to_string()).fetch_all(c).await)?;
    rows.into_iter().map(Link::try_from).collect()
}

/// Returns one identity of a user, and locks it until the transaction ends.
pub async fn lock(conn: &mut Conn, user: UserId, id: EventId) -> Result<Option<Link>> {
    const FIND: Locking = locking!(concat!(
        columns!(),
        " WHERE a.user_id = $1 AND a.id = $2 AND a.issuer IS NOT NULL"
    ));
    let sql = FIND.on(conn);
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(sql).bind(user.to_string()).bind(id.to_string()).fetch_all(c).await)?;
    rows.into_iter().next().map(Link::try_from).transpose()
}

/// What writing a link did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The identity was linked to the user before; this is its row.
    Known(EventId),
    /// The identity is linked now; this is its row.
    New(EventId),
}

impl Kept {
    /// Returns the id of the row.
    pub fn row(self) -> EventId {
        match self {
            Self::Known(row) | Self::New(row) => row,
        }
    }
}

/// Links an identity to a user, or writes what its issuer says now into the link that stands.
/// `row` is the id of a new row. The user's row is locked.
///
/// # Errors
/// [`Error::Conflict`] if the identity is linked to another user, or another issuer has one of this
/// name under the same provider id.
pub async fn keep(
    conn: &mut Conn,
    user: UserId,
    link: &PendingLink,
    row: EventId,
    now: Timestamp,
) -> Result<Kept> {
    let written: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "INSERT INTO accounts (id, user_id, provider_id, account_id, password_hash, created_at, updated_at, issuer, email, last_used_at, scopes)
         VALUES ($1, $2, $3, $4, NULL, $5, $5, $6, $7, $5, $8)
         ON CONFLICT (provider_id, account_id) DO UPDATE
            SET email = excluded.email, scopes = excluded.scopes, last_used_at = excluded.last_used_at, updated_at = excluded.updated_at
          WHERE accounts.user_id = excluded.user_id AND accounts.issuer = excluded.issuer
         RETURNING id")
        .bind(row.to_string()).bind(user.to_string())
        .bind(link.provider.as_str()).bind(link.subject.as_str())
        .bind(now.0).bind(link.issuer.as_str()).bind(link.email.as_deref()).bind(link.scopes.as_str())
        .fetch_all(c).await)?;
    let (id,) = written.into_iter().next().ok_or(Error::Conflict)?;
    let id: EventId = id.parse().map_err(|_| corrupt("id"))?;
    Ok(if id == row {
        Kept::New(id)
    } else {
        Kept::Known(id)
    })
}

/// Removes the link; returns whether it stood.
pub async fn remove(conn: &mut Conn, user: UserId, id: EventId) -> Result<bool> {
    let removed = on!(conn, c => sqlx::query("DELETE FROM accounts WHERE id = $1 AND user_id = $2 AND issuer IS NOT NULL")
        .bind(id.to_string()).bind(user.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(removed == 1)
}
