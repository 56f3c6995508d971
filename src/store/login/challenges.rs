//! Sign-ins that wait for another proof: one row each, which is deleted when the sign-in ends.

use sqlx::FromRow;

use crate::model::federation::logout::Logout;
use crate::model::federation::pending_link::PendingLink;
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::ConfirmedNow;
use crate::model::login::gate::Evidence;
use crate::model::login::proof::Proofs;
use crate::model::session::session::Delivery;
use crate::model::session::ticket::Retry;
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Error, Result, hash_text, on, skipping};

/// A sign-in that waits for another proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Id of the row.
    pub id: EventId,
    /// What was proven so far, and of whom.
    pub evidence: Evidence,
    /// How the tokens of the session will travel.
    pub delivery: Delivery,
    /// Whether the cookies of the session will outlive the browser.
    pub remember: bool,
    /// How the refreshes of the session will be retried.
    pub retry: Retry,
    /// The identity of another issuer that is linked when the session opens.
    pub upstream: Option<PendingLink>,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

#[derive(FromRow)]
struct Row {
    id: String,
    user_id: String,
    login_epoch: i64,
    proofs: String,
    delivery: String,
    remember: i64,
    retry: String,
    expires_at: i64,
    upstream: Option<String>,
}

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "login_challenges",
        column,
    }
}

impl TryFrom<Row> for Challenge {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.parse().map_err(|_| corrupt("id"))?,
            evidence: Evidence {
                user: row.user_id.parse().map_err(|_| corrupt("user_id"))?,
                epoch: row.login_epoch,
                proofs: Proofs::parse(&row.proofs).ok_or_else(|| corrupt("proofs"))?,
            },
            delivery: Delivery::parse(&row.delivery).ok_or_else(|| corrupt("delivery"))?,
            remember: row.remember != 0,
            retry: Retry::parse(&row.retry).ok_or_else(|| corrupt("retry"))?,
            upstream: row
                .upstream
                .map(|text| PendingLink::parse(&text).ok_or_else(|| corrupt("upstream")))
                .transpose()?,
            expires_at: Timestamp(row.expires_at),
        })
    }
}

/// Inserts a challenge under the hash of its secret.
pub async fn insert(conn: &mut Conn, challenge: &Challenge, secret_hash: &[u8; 32]) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO login_challenges (id, secret_hash, user_id, login_epoch, proofs, delivery, remember, retry, tries, expires_at, upstream)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10)")
        .bind(challenge.id.to_string())
        .bind(hash_text(secret_hash))
        .bind(challenge.evidence.user.to_string())
        .bind(challenge.evidence.epoch)
        .bind(challenge.evidence.proofs.to_text())
        .bind(challenge.delivery.as_str())
        .bind(i64::from(challenge.remember))
        .bind(challenge.retry.as_str())
        .bind(challenge.expires_at.0)
        .bind(challenge.upstream.as_ref().map(PendingLink::to_text))
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the challenge with this secret, unless it is past its end.
pub async fn find(
    conn: &mut Conn,
    secret_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Challenge>> {
    let row: Option<Row> = on!(conn, c => sqlx::query_as(
        "SELECT id, user_id, login_epoch, proofs, delivery, remember, retry, expires_at, upstream FROM login_challenges
          WHERE secret_hash = $1 AND expires_at > $2")
        .bind(hash_text(secret_hash)).bind(now.0).fetch_optional(c).await)?;
    row.map(Challenge::try_from).transpose()
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// It was counted, and a code may be compared.
    Counted,
    /// All tries were used up before.
    UsedUp,
    /// The challenge has ended meanwhile.
    Ended,
}

/// Counts a try of at most `most`, before anything is compared.
pub async fn charge(conn: &mut Conn, id: EventId, most: i64) -> Result<Charge> {
    let charged = on!(conn, c => sqlx::query("UPDATE login_challenges SET tries = tries + 1 WHERE id = $1 AND tries < $2")
        .bind(id.to_string()).bind(most).execute(c).await.map(|done| done.rows_affected()))?;
    if charged == 1 {
        return Ok(Charge::Counted);
    }
    let rows: Vec<(i64,)> = on!(conn, c => sqlx::query_as("SELECT tries FROM login_challenges WHERE id = $1")
        .bind(id.to_string()).fetch_all(c).await)?;
    Ok(if rows.is_empty() {
        Charge::Ended
    } else {
        Charge::UsedUp
    })
}

/// Gives a try back that was charged and then not compared with anything.
pub async fn refund(conn: &mut Conn, id: EventId) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE login_challenges SET tries = tries - 1 WHERE id = $1 AND tries > 0")
        .bind(id.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Keeps what was proven by one more step, and begins to count its tries anew. Returns `false` if the
/// challenge has ended, or if another step was proven meanwhile.
pub async fn proceed(
    conn: &mut Conn,
    id: EventId,
    before: &Evidence,
    after: &Evidence,
) -> Result<bool> {
    let changed = on!(conn, c => sqlx::query("UPDATE login_challenges SET proofs = $1, tries = 0 WHERE id = $2 AND proofs = $3")
        .bind(after.proofs.to_text()).bind(id.to_string()).bind(before.proofs.to_text())
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Ends a challenge; returns `false` if it had ended.
pub async fn end(conn: &mut Conn, id: EventId) -> Result<bool> {
    let ended = on!(conn, c => sqlx::query("DELETE FROM login_challenges WHERE id = $1")
        .bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(ended == 1)
}

/// Ends every challenge of a user.
pub async fn end_of_user(conn: &mut Conn, user: UserId) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM login_challenges WHERE user_id = $1")
        .bind(user.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Ends the challenges of sign-ins that began with what an issuer has ended. On Postgres it waits for one
/// that is being finished.
pub async fn end_of_logout(conn: &mut Conn, logout: &Logout, now: Timestamp) -> Result<()> {
    let rows: Vec<(String, String)> = on!(conn, c => sqlx::query_as(
        "SELECT id, upstream FROM login_challenges WHERE upstream IS NOT NULL AND expires_at > $1 ORDER BY id")
        .bind(now.0).fetch_all(c).await)?;
    for (id, upstream) in rows {
        let link = PendingLink::parse(&upstream).ok_or_else(|| corrupt("upstream"))?;
        if logout.ends(&link) {
            end(conn, id.parse().map_err(|_| corrupt("id"))?).await?;
        }
    }
    Ok(())
}

/// Ends every challenge of all users.
pub async fn end_of_everybody(conn: &mut Conn) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM login_challenges").execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Deletes up to `limit` challenges that are past their end; returns how many.
pub async fn prune(conn: &mut Conn, now: ConfirmedNow, limit: i64) -> Result<u64> {
    const DELETE: Locking = skipping!(
        "DELETE FROM login_challenges WHERE id IN (SELECT id FROM login_challenges WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2",
        ")"
    );
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let sql = DELETE.on(conn);
    Ok(
        on!(conn, c => sqlx::query(sql).bind(now.now().0).bind(limit).execute(c).await.map(|done| done.rows_affected()))?,
    )
}
