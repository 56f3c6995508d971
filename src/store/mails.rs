//! The queue of mails and the rows of their links.

use std::time::Duration;

use serde_json::{Map, Value};
use sqlx::FromRow;

use crate::model::account::email::Email;
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::{ConfirmedNow, MAX_GAP};
use crate::model::mail::{Mail, MailToken, Purpose, Template};

use super::engine::row_locks::Locking;
use super::queue::{Attempt, Message, Queue, queue};
use super::{Conn, Error, Result, on, skipping};

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "mails",
        column,
    }
}

/// Inserts the row of a link; older links of the same purpose become invalid.
pub async fn insert_token(conn: &mut Conn, token: &MailToken) -> Result<()> {
    end_tokens_of(conn, token.user, token.purpose, token.created_at).await?;
    on!(conn, c => sqlx::query(
        "INSERT INTO mail_tokens (id, purpose, user_id, email, new_email, created_at, expires_at, session_id, ended_at, epoch)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, (SELECT epoch FROM key_ring WHERE key_ring.id = 1))")
        .bind(token.id.to_string())
        .bind(token.purpose.as_str())
        .bind(token.user.to_string())
        .bind(token.email.as_str())
        .bind(token.new_email.as_ref().map(ToString::to_string))
        .bind(token.created_at.0)
        .bind(token.expires_at.0)
        .bind(token.session.map(|s| s.to_string()))
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

#[derive(FromRow)]
struct TokenRow {
    id: String,
    purpose: String,
    user_id: String,
    email: String,
    new_email: Option<String>,
    created_at: i64,
    expires_at: i64,
    session_id: Option<String>,
    ended_at: Option<i64>,
}

/// Returns the row of a link and whether the link is still valid: it has not ended, neither alone
/// nor with all links of all users, and its user still has the email address that it was sent to.
pub async fn find_token(conn: &mut Conn, id: EventId) -> Result<Option<(MailToken, bool)>> {
    let row: Option<TokenRow> = on!(conn, c => sqlx::query_as(
        "SELECT t.id, t.purpose, t.user_id, t.email, t.new_email, t.created_at, t.expires_at, t.session_id,
                CASE WHEN u.email = t.email AND t.epoch = (SELECT epoch FROM key_ring WHERE key_ring.id = 1) THEN t.ended_at ELSE 0 END AS ended_at
           FROM mail_tokens t JOIN users u ON u.id = t.user_id WHERE t.id = $1")
        .bind(id.to_string()).fetch_optional(c).await)?;
    let Some(row) = row else { return Ok(None) };
    let corrupt = |column| Error::Corrupt {
        table: "mail_tokens",
        column,
    };
    let token = MailToken {
        id: row.id.parse().map_err(|_| corrupt("id"))?,
        purpose: Purpose::parse(&row.purpose).ok_or_else(|| corrupt("purpose"))?,
        user: row.user_id.parse().map_err(|_| corrupt("user_id"))?,
        email: row.email.parse().map_err(|_| corrupt("email"))?,
        new_email: row
            .new_email
            .map(|e| e.parse().map_err(|_| corrupt("new_email")))
            .transpose()?,
        created_at: Timestamp(row.created_at),
        expires_at: Timestamp(row.expires_at),
        session: row
            .session_id
            .map(|s| s.parse().map_err(|_| corrupt("session_id")))
            .transpose()?,
    };
    Ok(Some((token, row.ended_at.is_none())))
}

/// Starts the lifetime of a link when it is sent; returns `false` if it has ended meanwhile.
pub async fn begin_token(conn: &mut Conn, id: EventId, expires_at: Timestamp) -> Result<bool> {
    let begun = on!(conn, c => sqlx::query(
        "UPDATE mail_tokens SET expires_at = $1 WHERE id = $2 AND ended_at IS NULL AND epoch = (SELECT epoch FROM key_ring WHERE key_ring.id = 1)")
        .bind(expires_at.0).bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(begun == 1)
}

/// Uses a link up; returns `false` if it was used already or replaced by a newer one.
pub async fn end_token(conn: &mut Conn, id: EventId, now: Timestamp) -> Result<bool> {
    let ended = on!(conn, c => sqlx::query(
        "UPDATE mail_tokens SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL AND expires_at > $1 AND epoch = (SELECT epoch FROM key_ring WHERE key_ring.id = 1)")
        .bind(now.0).bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(ended == 1)
}

/// Ends every link and code of a user, because the password or the email address has changed.
pub async fn end_tokens(conn: &mut Conn, user: UserId, now: Timestamp) -> Result<()> {
    super::login::codes::end_all(conn, user, now).await?;
    on!(conn, c => sqlx::query("UPDATE mail_tokens SET ended_at = $1 WHERE user_id = $2 AND ended_at IS NULL")
        .bind(now.0).bind(user.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Ends the user's links of one purpose.
pub async fn end_tokens_of(
    conn: &mut Conn,
    user: UserId,
    purpose: Purpose,
    now: Timestamp,
) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE mail_tokens SET ended_at = $1 WHERE user_id = $2 AND purpose = $3 AND ended_at IS NULL")
        .bind(now.0).bind(user.to_string()).bind(purpose.as_str()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Ends the links that were made more than a day in the future, by a clock that was ahead:
/// otherwise they would be valid again when that time comes.
pub async fn end_unbegun(conn: &mut Conn, now: ConfirmedNow) -> Result<u64> {
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let ended = on!(conn, c => sqlx::query(
        "UPDATE mail_tokens SET ended_at = $1 WHERE ended_at IS NULL AND created_at > $2
            AND created_at > (SELECT confirmed_at FROM clock WHERE clock.id = 1) + 86400000")
        .bind(now.now().0).bind((now.now() + MAX_GAP).0).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(ended)
}

/// Deletes up to `limit` links that expired more than `keep` ago; returns how many.
pub async fn prune_tokens(
    conn: &mut Conn,
    now: ConfirmedNow,
    keep: Duration,
    limit: i64,
) -> Result<u64> {
    const DELETE: Locking = skipping!(
        "DELETE FROM mail_tokens WHERE id IN (SELECT id FROM mail_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2",
        ")"
    );
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let (sql, before) = (DELETE.on(conn), now.now() - keep);
    Ok(
        on!(conn, c => sqlx::query(sql).bind(before.0).bind(limit).execute(c).await.map(|done| done.rows_affected()))?,
    )
}

/// Adds a mail to the queue.
pub async fn enqueue(conn: &mut Conn, mail: &Mail) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO mails (id, template, recipient, token_id, detail, attempts, created_at, due_at) VALUES ($1, $2, $3, $4, $5, 0, $6, $6)")
        .bind(mail.id.to_string())
        .bind(mail.template.as_str())
        .bind(mail.recipient.as_ref().map(ToString::to_string))
        .bind(mail.token.map(|id| id.to_string()))
        .bind(Value::Object(mail.detail.clone()).to_string())
        .bind(mail.created_at.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// A row of `mails`.
#[derive(Debug, FromRow)]
pub struct Row {
    id: String,
    template: String,
    recipient: Option<String>,
    token_id: Option<String>,
    detail: String,
    attempts: i64,
    created_at: i64,
}

impl Message for Mail {
    type Row = Row;

    const QUEUE: Queue = queue!(
        "mails",
        "id, template, recipient, token_id, detail, attempts, created_at"
    );

    fn id_of(row: &Row) -> String {
        row.id.clone()
    }

    fn parse(row: Row) -> Result<Self> {
        let detail: Map<String, Value> =
            serde_json::from_str(&row.detail).map_err(|_| corrupt("detail"))?;
        Ok(Self {
            id: row.id.parse().map_err(|_| corrupt("id"))?,
            template: Template::parse(&row.template).ok_or_else(|| corrupt("template"))?,
            recipient: row
                .recipient
                .map(|e| e.parse().map_err(|_| corrupt("recipient")))
                .transpose()?,
            token: row
                .token_id
                .map(|id| id.parse().map_err(|_| corrupt("token_id")))
                .transpose()?,
            detail,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            created_at: Timestamp(row.created_at),
        })
    }

    fn attempt(&self) -> Attempt {
        Attempt {
            id: self.id,
            number: self.attempts,
        }
    }
}

/// Completes a request whose user was found: the mail now has a link and its contents.
pub async fn resolve(
    conn: &mut Conn,
    id: EventId,
    token: EventId,
    detail: &Map<String, Value>,
) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE mails SET token_id = $1, detail = $2 WHERE id = $3")
        .bind(token.to_string()).bind(Value::Object(detail.clone()).to_string()).bind(id.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// A mail in the queue, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMail {
    /// The id of the mail, which is also in its `Message-ID`.
    pub id: String,
    /// The name of its template.
    pub template: String,
    /// The email address; `None` if the account behind it has not been looked up.
    pub recipient: Option<Email>,
    /// The number of attempts to send it.
    pub attempts: i64,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When the next attempt is due.
    pub due_at: Timestamp,
}

/// Returns up to `limit` mails of the queue, oldest first.
pub async fn list_queued(conn: &mut Conn, limit: i64) -> Result<Vec<QueuedMail>> {
    type Columns = (String, String, Option<String>, i64, i64, i64);
    let rows: Vec<Columns> = on!(conn, c => sqlx::query_as(
        "SELECT id, template, recipient, attempts, created_at, due_at FROM mails ORDER BY created_at, id LIMIT $1")
        .bind(limit).fetch_all(c).await)?;
    let parse = |(id, template, recipient, attempts, created_at, due_at): Columns| {
        Ok(QueuedMail {
            id,
            template,
            recipient: recipient
                .map(|text| text.parse().map_err(|_| corrupt("recipient")))
                .transpose()?,
            attempts,
            created_at: Timestamp(created_at),
            due_at: Timestamp(due_at),
        })
    };
    rows.into_iter().map(parse).collect()
}

/// Makes every mail of the queue due; returns how many were not due before. A mail that a process
/// is just sending becomes due as well: its row does not differ from one that is to be tried again.
pub async fn make_due(conn: &mut Conn, now: Timestamp) -> Result<u64> {
    Ok(
        on!(conn, c => sqlx::query("UPDATE mails SET due_at = $1 WHERE due_at > $1").bind(now.0).execute(c).await.map(|done| done.rows_affected()))?,
    )
}

/// Returns the number of waiting mails and the time of the oldest.
pub async fn waiting(conn: &mut Conn) -> Result<(i64, Option<Timestamp>)> {
    let (count, oldest): (i64, Option<i64>) = on!(conn, c => sqlx::query_as("SELECT COUNT(*), MIN(created_at) FROM mails").fetch_one(c).await)?;
    Ok((count, oldest.map(Timestamp)))
}
