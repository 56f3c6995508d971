//! Codes that are sent to a mailbox, and the links beside them: one row each, which holds neither.

use sqlx::FromRow;

use crate::model::account::email::Email;
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::MAX_GAP;
use crate::model::login::email_code::{CodePurpose, EmailCode};
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Error, Result, hash_text, locking, on, parse_hash};

#[derive(FromRow)]
struct Row {
    id: String,
    purpose: String,
    email: String,
    user_id: Option<String>,
    challenge_id: Option<String>,
    binding_hash: Option<String>,
    key_version: i64,
    has_link: i64,
    name: Option<String>,
    user_agent: String,
    device: Option<String>,
    created_at: i64,
    expires_at: i64,
    tries_of_asker: i64,
    tries_of_others: i64,
    ended_at: Option<i64>,
}

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "login_codes",
        column,
    }
}

impl TryFrom<Row> for Counted {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let hash = |text: String| parse_hash(&text).ok_or_else(|| corrupt("binding_hash"));
        let code = EmailCode {
            id: row.id.parse().map_err(|_| corrupt("id"))?,
            purpose: CodePurpose::parse(&row.purpose).ok_or_else(|| corrupt("purpose"))?,
            email: row.email.parse().map_err(|_| corrupt("email"))?,
            user: row
                .user_id
                .map(|id| id.parse().map_err(|_| corrupt("user_id")))
                .transpose()?,
            challenge: row
                .challenge_id
                .map(|id| id.parse().map_err(|_| corrupt("challenge_id")))
                .transpose()?,
            binding: row.binding_hash.map(hash).transpose()?,
            key_version: u8::try_from(row.key_version).map_err(|_| corrupt("key_version"))?,
            has_link: row.has_link != 0,
            name: row.name,
            user_agent: row.user_agent,
            device: row.device,
            created_at: Timestamp(row.created_at),
            expires_at: Timestamp(row.expires_at),
        };
        Ok(Self {
            code,
            of_asker: row.tries_of_asker,
            of_others: row.tries_of_others,
        })
    }
}

/// SQL: the columns of a row, and what follows them.
macro_rules! codes {
    ($rest:expr) => {
        concat!(
            "SELECT id, purpose, email, user_id, challenge_id, binding_hash, key_version, has_link, name, user_agent, device, created_at, expires_at,
                    tries_of_asker, tries_of_others, ended_at
               FROM login_codes ",
            $rest
        )
    };
}

/// SQL: whether a row is in force at `$1`: not used, not replaced, not ended with the links of all
/// users, and not made by a clock that was far ahead (`$2`).
macro_rules! in_force {
    ($rest:expr) => {
        codes!(concat!(
            "WHERE ended_at IS NULL AND expires_at > $1 AND created_at <= $2 AND epoch = (SELECT epoch FROM key_ring WHERE key_ring.id = 1) ",
            $rest
        ))
    };
}

/// A code with the number of wrong ones that were tried in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The row of the code.
    pub code: EmailCode,
    /// Codes tried by the browser or the app that asked.
    pub of_asker: i64,
    /// Codes tried by all others.
    pub of_others: i64,
}

/// How many codes at one email address are looked at, the latest first: more than are sent in the
/// time that one of them lives.
const MOST: i64 = 32;

/// Inserts the row of a code.
pub async fn insert(conn: &mut Conn, code: &EmailCode) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO login_codes (id, purpose, email, user_id, challenge_id, binding_hash, key_version, has_link, name, user_agent, device, created_at, expires_at, epoch)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, (SELECT epoch FROM key_ring WHERE key_ring.id = 1))")
        .bind(code.id.to_string())
        .bind(code.purpose.as_str())
        .bind(code.email.as_str())
        .bind(code.user.map(|id| id.to_string()))
        .bind(code.challenge.map(|id| id.to_string()))
        .bind(code.binding.map(|hash| hash_text(&hash)))
        .bind(i64::from(code.key_version))
        .bind(i64::from(code.has_link))
        .bind(code.name.as_deref())
        .bind(code.user_agent.as_str())
        .bind(code.device.as_deref())
        .bind(code.created_at.0)
        .bind(code.expires_at.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Locks the codes at an email address that are in force: that of this binding, and then the others,
/// the latest first.
pub async fn lock_at(
    conn: &mut Conn,
    purpose: CodePurpose,
    email: &Email,
    binding: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<Vec<Counted>> {
    const LOCK: Locking = locking!(in_force!(
        "AND email = $3 AND purpose = $4 ORDER BY CASE WHEN binding_hash = $6 THEN 0 ELSE 1 END, created_at DESC, id DESC LIMIT $5"
    ));
    let sql = LOCK.on(conn);
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(sql)
        .bind(now.0).bind((now + MAX_GAP).0).bind(email.as_str()).bind(purpose.as_str()).bind(MOST)
        .bind(binding.map(|hash| hash_text(hash)))
        .fetch_all(c).await)?;
    rows.into_iter().map(Counted::try_from).collect()
}

/// Locks the latest code that a user has asked for in a session or, with `challenge`, after the
/// first proof of that pending sign-in; `None` if there is none in force.
pub async fn lock_of_user(
    conn: &mut Conn,
    purpose: CodePurpose,
    user: UserId,
    challenge: Option<EventId>,
    now: Timestamp,
) -> Result<Option<Counted>> {
    const LOCK: Locking = locking!(in_force!(
        "AND user_id = $3 AND purpose = $4 AND COALESCE(challenge_id, '') = $5 ORDER BY created_at DESC, id DESC LIMIT 1"
    ));
    let sql = LOCK.on(conn);
    let row: Option<Row> = on!(conn, c => sqlx::query_as(sql)
        .bind(now.0).bind((now + MAX_GAP).0).bind(user.to_string()).bind(purpose.as_str())
        .bind(challenge.map(|id| id.to_string()).unwrap_or_default())
        .fetch_optional(c).await)?;
    row.map(Counted::try_from).transpose()
}

/// Returns the row of a code and whether it is in force apart from its time: not used, not replaced
/// and not ended with the links of all users.
pub async fn find(conn: &mut Conn, id: EventId) -> Result<Option<(EmailCode, bool)>> {
    let row: Option<Row> = on!(conn, c => sqlx::query_as(codes!("WHERE id = $1 AND epoch = (SELECT epoch FROM key_ring WHERE key_ring.id = 1)"))
        .bind(id.to_string()).fetch_optional(c).await)?;
    let Some(row) = row else { return Ok(None) };
    let lives = row.ended_at.is_none();
    Ok(Some((Counted::try_from(row)?.code, lives)))
}

/// Returns whether a code at an email address was neither used nor replaced, and its time is over.
pub async fn is_over(
    conn: &mut Conn,
    purpose: CodePurpose,
    email: &Email,
    now: Timestamp,
) -> Result<bool> {
    let (over,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM login_codes WHERE email = $1 AND purpose = $2 AND ended_at IS NULL AND expires_at <= $3")
        .bind(email.as_str()).bind(purpose.as_str()).bind(now.0).fetch_one(c).await)?;
    Ok(over > 0)
}

/// Counts a code that is tried, by the asker or by another party, before it is compared.
pub async fn charge(conn: &mut Conn, id: EventId, by_asker: bool) -> Result<()> {
    let sql = if by_asker {
        "UPDATE login_codes SET tries_of_asker = tries_of_asker + 1 WHERE id = $1"
    } else {
        "UPDATE login_codes SET tries_of_others = tries_of_others + 1 WHERE id = $1"
    };
    on!(conn, c => sqlx::query(sql).bind(id.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Gives back a try that was not wrong, or that was compared with nothing.
pub async fn refund(conn: &mut Conn, id: EventId, by_asker: bool) -> Result<()> {
    let sql = if by_asker {
        "UPDATE login_codes SET tries_of_asker = tries_of_asker - 1 WHERE id = $1 AND tries_of_asker > 0"
    } else {
        "UPDATE login_codes SET tries_of_others = tries_of_others - 1 WHERE id = $1 AND tries_of_others > 0"
    };
    on!(conn, c => sqlx::query(sql).bind(id.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Starts the lifetime of a code when it is sent; returns `false` if it has ended meanwhile.
pub async fn begin(conn: &mut Conn, id: EventId, expires_at: Timestamp) -> Result<bool> {
    let begun = on!(conn, c => sqlx::query(
        "UPDATE login_codes SET expires_at = $1 WHERE id = $2 AND ended_at IS NULL AND epoch = (SELECT epoch FROM key_ring WHERE key_ring.id = 1)")
        .bind(expires_at.0).bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(begun == 1)
}

/// Adds a link to the mail of a code.
pub async fn add_link(conn: &mut Conn, id: EventId) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE login_codes SET has_link = 1 WHERE id = $1")
        .bind(id.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Uses a code and its link up; returns `false` if it was used, replaced or over.
pub async fn end(conn: &mut Conn, id: EventId, now: Timestamp) -> Result<bool> {
    let ended = on!(conn, c => sqlx::query(
        "UPDATE login_codes SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL AND expires_at > $1 AND epoch = (SELECT epoch FROM key_ring WHERE key_ring.id = 1)")
        .bind(now.0).bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(ended == 1)
}

/// Ends the earlier codes that the same browser or app has asked for at this email address.
pub async fn end_of_asker(conn: &mut Conn, code: &EmailCode) -> Result<()> {
    let Some(binding) = &code.binding else {
        return Ok(());
    };
    on!(conn, c => sqlx::query(
        "UPDATE login_codes SET ended_at = $1 WHERE email = $2 AND purpose = $3 AND binding_hash = $4 AND ended_at IS NULL")
        .bind(code.created_at.0).bind(code.email.as_str()).bind(code.purpose.as_str()).bind(hash_text(binding))
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Ends the earlier codes that a user has asked for in a session, or for one pending sign-in.
pub async fn end_of_user(conn: &mut Conn, code: &EmailCode) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE login_codes SET ended_at = $1 WHERE user_id = $2 AND purpose = $3 AND COALESCE(challenge_id, '') = $4 AND ended_at IS NULL")
        .bind(code.created_at.0).bind(code.user.map(|id| id.to_string())).bind(code.purpose.as_str())
        .bind(code.challenge.map(|id| id.to_string()).unwrap_or_default())
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Ends every code at an email address that an account has given up.
pub async fn end_at(conn: &mut Conn, email: &Email, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE login_codes SET ended_at = $1 WHERE email = $2 AND ended_at IS NULL")
        .bind(now.0).bind(email.as_str()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Ends the codes of changes of the email address that the user has begun.
pub async fn end_changes(conn: &mut Conn, user: UserId, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE login_codes SET ended_at = $1 WHERE user_id = $2 AND purpose = $3 AND ended_at IS NULL")
        .bind(now.0).bind(user.to_string()).bind(CodePurpose::ChangeEmail.as_str()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Makes a code that is in no mail: every code that is typed in its place is wrong, and is counted as for
/// any other.
pub async fn void(conn: &mut Conn, id: EventId) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE login_codes SET key_version = 0 WHERE id = $1")
        .bind(id.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Ends every code of a user and at the user's email address, because the password or the email
/// address has changed.
pub async fn end_all(conn: &mut Conn, user: UserId, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE login_codes SET ended_at = $1 WHERE ended_at IS NULL AND (user_id = $2 OR email = (SELECT email FROM users WHERE users.id = $2))")
        .bind(now.0).bind(user.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}
