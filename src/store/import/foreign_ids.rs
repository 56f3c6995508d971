//! The ids that users had in other software, and what is known here of the user of a row.

use crate::model::federation::pending_link::PendingLink;
use crate::model::import::candidate::Candidate;
use crate::model::import::judge::{Existing, Known};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::store::engine::copy;
use crate::store::engine::copy_import_tables::FOREIGN_IDS;
use crate::store::engine::copy_table::Cell;
use crate::store::{Conn, Error, Result, on};

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "users",
        column,
    }
}

/// Returns what is here of the user of a row.
pub async fn existing(conn: &mut Conn, source: &str, candidate: &Candidate) -> Result<Existing> {
    let mut existing = Existing::default();
    let kept = candidate.kept_id.map(|id| id.to_string());
    let found: Vec<(String, String, String, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT 'foreign', u.id, u.email, u.email_verified FROM foreign_ids f JOIN users u ON u.id = f.user_id WHERE f.source = $1 AND f.foreign_id = $2 AND u.deleted_at IS NULL
         UNION ALL SELECT 'email', u.id, u.email, u.email_verified FROM users u WHERE u.email = $3 AND u.deleted_at IS NULL
         UNION ALL SELECT 'id', u.id, u.email, u.email_verified FROM users u WHERE u.id = $4")
        .bind(source)
        .bind(candidate.foreign_id.as_str())
        .bind(candidate.email.as_str())
        .bind(kept.unwrap_or_default())
        .fetch_all(c).await)?;
    for (how, id, email, verified) in found {
        if how == "id" {
            existing.id_is_taken = true;
            continue;
        }
        let known = Some(Known {
            id: id.parse().map_err(|_| corrupt("id"))?,
            email: email.parse().map_err(|_| corrupt("email"))?,
            email_verified: verified != 0,
        });
        if how == "foreign" {
            existing.by_foreign_id = known;
        } else {
            existing.by_email = known;
        }
    }
    for account in &candidate.accounts {
        let owner: Option<(String,)> = on!(conn, c => sqlx::query_as("SELECT user_id FROM accounts WHERE provider_id = $1 AND account_id = $2")
            .bind(account.provider.as_str()).bind(account.subject.as_str()).fetch_optional(c).await)?;
        if let Some((owner,)) = owner {
            let owner = owner.parse().map_err(|_| corrupt("id"))?;
            existing.linked.push((account.provider.to_string(), owner));
        }
    }
    Ok(existing)
}

/// Notes that users came from the source with these ids.
///
/// # Errors
/// [`Error::Conflict`] if another user came with one of them.
pub async fn insert_all(
    conn: &mut Conn,
    source: &str,
    ids: &[(String, UserId)],
    batch: EventId,
) -> Result<()> {
    let cells = ids.iter().map(|(foreign_id, user)| {
        [source, foreign_id, &user.to_string(), &batch.to_string()]
            .map(|text| Cell::Text(Some(text.to_owned())))
            .to_vec()
    });
    copy::insert(conn, &FOREIGN_IDS, cells.collect()).await
}

/// Adds an account at a provider to a user, as one that has not been used yet. Returns `false` if the
/// user has it.
///
/// # Errors
/// [`Error::Conflict`] if it belongs to another user.
pub async fn add_account(
    conn: &mut Conn,
    user: UserId,
    link: &PendingLink,
    row: EventId,
    now: Timestamp,
) -> Result<bool> {
    let written = on!(conn, c => sqlx::query(
        "INSERT INTO accounts (id, user_id, provider_id, account_id, password_hash, created_at, updated_at, issuer, email, last_used_at, scopes)
         VALUES ($1, $2, $3, $4, NULL, $5, $5, $6, $7, NULL, $8)
         ON CONFLICT (provider_id, account_id) DO NOTHING")
        .bind(row.to_string()).bind(user.to_string())
        .bind(link.provider.as_str()).bind(link.subject.as_str())
        .bind(now.0).bind(link.issuer.as_str()).bind(link.email.as_deref()).bind(link.scopes.as_str())
        .execute(c).await.map(|done| done.rows_affected()))?;
    if written == 1 {
        return Ok(true);
    }
    let (owner,): (String,) = on!(conn, c => sqlx::query_as("SELECT user_id FROM accounts WHERE provider_id = $1 AND account_id = $2")
        .bind(link.provider.as_str()).bind(link.subject.as_str()).fetch_one(c).await)?;
    if owner == user.to_string() {
        Ok(false)
    } else {
        Err(Error::Conflict)
    }
}

/// Takes back what a batch noted about a user.
pub async fn remove(conn: &mut Conn, user: UserId, batch: EventId) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM foreign_ids WHERE user_id = $1 AND batch_id = $2")
        .bind(user.to_string()).bind(batch.to_string())
        .execute(c).await.map(|_| ()))?;
    Ok(())
}
