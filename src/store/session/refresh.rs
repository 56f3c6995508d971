//! The statements of a refresh: one on the usual path, a read and a compare-and-set on the others.
//! Only the primary key is looked up and no indexed column is written, so on Postgres every refresh
//! is a heap-only update.

use std::time::Duration;

use sqlx::FromRow;

use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::{Timestamp, millis};
use crate::model::key::ring_id::RingId;
use crate::model::session::refresh::{MAX_CLOCK_SKEW, Row as State, SecretHash};
use crate::model::session::session::{Delivery, RevokedReason, nearer_end};
use crate::store::{Conn, Error, Result, hash_text, on, parse_hash};

use super::epochs::{begun, in_force};

/// What the answer to a refresh needs, read in the same round trip.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The id of the session.
    pub session: SessionId,
    /// The user of the session.
    pub user: UserId,
    /// `users.version`: part of the cache key.
    pub user_version: i64,
    /// The state of the key ring. A replica that holds another one reloads it before it signs.
    pub ring_id: RingId,
    /// The columns that the decision depends on.
    pub state: State,
    /// How its tokens travel.
    pub delivery: Delivery,
    /// Whether its cookies outlive the browser.
    pub remember: bool,
    /// When the user last proved the password.
    pub auth_time: Timestamp,
    /// The admin who impersonates the user.
    pub impersonated_by: Option<UserId>,
    /// Hash of its session token.
    pub token_hash: [u8; 32],
    /// The version of the current master key. A process that has not loaded it must not decide.
    pub master_version: i64,
    /// The last presenters, sealed, and the sign-in; filled only if the row was read.
    pub sides: Sides,
}

impl Refreshed {
    /// Returns the session's nearer end.
    pub fn ends_at(&self) -> Timestamp {
        nearer_end(self.state.idle_expires_at, self.state.expires_at)
    }
}

/// Who has used a session, as far as its row knows.
#[derive(Debug, Clone, Default)]
pub struct Sides {
    /// Sealed entries, the newest first.
    pub presenters: String,
    /// IP address of the sign-in.
    pub ip_address: String,
    /// User agent of the sign-in.
    pub user_agent: String,
    /// Time of the sign-in, in Unix milliseconds.
    pub signed_in_at: i64,
}

/// A presenter as it is written into the row.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'e> {
    /// Recognises the same presenter again, whose first entry is then kept.
    pub tag: &'e str,
    /// The tag and the sealed presenter; [`ENTRY`] characters in total.
    pub sealed: &'e str,
}

/// Length of an entry in characters; the statements below keep two entries.
pub const ENTRY: usize = 396;

/// Length of the tag of an entry, in characters.
pub const TAG: usize = 11;

#[derive(FromRow)]
struct Row {
    id: String,
    user_id: String,
    user_version: i64,
    ring_id: String,
    generation: i64,
    refresh_hash: String,
    rotated_at: i64,
    expires_at: i64,
    idle_expires_at: i64,
    /// 1 if the session was ended, by itself or by an epoch.
    is_over: i64,
    delivery: String,
    remember: i64,
    auth_time: i64,
    token_hash: String,
    impersonated_by: Option<String>,
    master_version: i64,
    #[sqlx(default)]
    presenters: Option<String>,
    #[sqlx(default)]
    ip_address: String,
    #[sqlx(default)]
    user_agent: String,
    #[sqlx(default)]
    created_at: i64,
}

impl TryFrom<Row> for Refreshed {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let corrupt = |column| Error::Corrupt {
            table: "sessions",
            column,
        };
        let delivery = Delivery::parse(&row.delivery).ok_or_else(|| corrupt("delivery"))?;
        Ok(Self {
            session: row.id.parse().map_err(|_| corrupt("id"))?,
            user: row.user_id.parse().map_err(|_| corrupt("user_id"))?,
            user_version: row.user_version,
            ring_id: row.ring_id.parse().map_err(|_| Error::Corrupt {
                table: "key_ring",
                column: "identity",
            })?,
            state: State {
                generation: u32::try_from(row.generation).map_err(|_| corrupt("generation"))?,
                refresh_hash: parse_hash(&row.refresh_hash)
                    .ok_or_else(|| corrupt("refresh_hash"))?,
                rotated_at: Timestamp(row.rotated_at),
                expires_at: Timestamp(row.expires_at),
                idle_expires_at: Timestamp(row.idle_expires_at),
                revoked: row.is_over != 0,
                delivery,
            },
            delivery,
            remember: row.remember != 0,
            auth_time: Timestamp(row.auth_time),
            token_hash: parse_hash(&row.token_hash).ok_or_else(|| corrupt("token_hash"))?,
            impersonated_by: row
                .impersonated_by
                .map(|id| id.parse().map_err(|_| corrupt("impersonated_by")))
                .transpose()?,
            master_version: row.master_version,
            sides: Sides {
                presenters: row.presenters.unwrap_or_default(),
                ip_address: row.ip_address,
                user_agent: row.user_agent,
                signed_in_at: row.created_at,
            },
        })
    }
}

/// The parameters of a rotation.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The id of the session.
    pub session: SessionId,
    /// The generation of the presented token.
    pub generation: u32,
    /// Hash of the secret of the presented token.
    pub hash: SecretHash,
    /// Hash of the secret of its successor.
    pub successor: SecretHash,
    /// How the token travelled. The row is only changed if that is how the session's tokens travel.
    pub delivery: Delivery,
    /// The time from now to the new idle end, if that is before the absolute end.
    pub idle: Duration,
    /// A current token that is younger than this is kept.
    pub cooldown: Duration,
    /// The master key that computed the successor's tag. If it is not the current one any more, the
    /// row is not changed.
    pub master_version: u8,
}

/// Row 5 of the table. Public so that the benchmark runs exactly the same statement.
pub const ROTATE: &str = concat!(
    "UPDATE sessions
            SET generation = generation + 1, refresh_hash = $1, rotated_at = $2, idle_expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END,
                presenters = CASE WHEN substr(presenters, 1, 11) = CAST($11 AS TEXT) THEN presenters ELSE substr(CAST($12 AS TEXT) || COALESCE(presenters, ''), 1, 792) END
          WHERE id = $4 AND generation = $5 AND refresh_hash = $6 AND delivery = $7
            AND expires_at > $2 AND idle_expires_at > $2 AND (generation = 1 OR rotated_at <= $8 OR rotated_at > $9)
            AND (SELECT master_version FROM key_ring WHERE key_ring.id = 1) = $10 AND ",
    begun!("sessions", "$2"),
    " AND ",
    in_force!("sessions"),
    " RETURNING id, user_id, generation, refresh_hash, rotated_at, expires_at, idle_expires_at, CAST(0 AS BIGINT) AS is_over, delivery, remember, auth_time, token_hash, impersonated_by,
                   (SELECT master_version FROM key_ring WHERE key_ring.id = 1) AS master_version, (SELECT version FROM users WHERE users.id = sessions.user_id) AS user_version, (SELECT CAST(version AS TEXT) || ':' || CAST(COALESCE(identity, 0) AS TEXT) FROM key_ring WHERE key_ring.id = 1) AS ring_id"
);

/// Does row 5 of the table in one statement; returns `None` if any of its conditions does not hold.
pub async fn rotate(
    conn: &mut Conn,
    r: &Rotation,
    presenter: Entry<'_>,
) -> Result<Option<Refreshed>> {
    let now = conn.now();
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(ROTATE)
        .bind(hash_text(&r.successor))
        .bind(now.0)
        .bind((now + r.idle).0)
        .bind(r.session.to_string())
        .bind(i64::from(r.generation))
        .bind(hash_text(&r.hash))
        .bind(r.delivery.as_str())
        .bind((now - r.cooldown).0)
        .bind(now.0.saturating_add(millis(MAX_CLOCK_SKEW)))
        .bind(i64::from(r.master_version))
        .bind(presenter.tag)
        .bind(presenter.sealed)
        // Not `fetch_optional`: it resets the statement after its first row, and for a single
        // statement that reset is the commit, whose error sqlx drops.
        .fetch_all(c).await)?;
    rows.into_iter().next().map(Refreshed::try_from).transpose()
}

/// Returns the row, whether or not it is live. A session that began in the future counts as past
/// its end.
pub async fn find(conn: &mut Conn, id: SessionId) -> Result<Option<Refreshed>> {
    const FIND: &str = concat!(
        "SELECT s.id, s.user_id, s.generation, s.refresh_hash, s.rotated_at, CASE WHEN ",
        begun!("s", "CAST($2 AS BIGINT)"),
        " THEN s.expires_at ELSE 0 END AS expires_at, s.idle_expires_at, s.delivery, s.remember, s.auth_time, s.token_hash, s.impersonated_by,
                CAST(CASE WHEN ",
        in_force!("s"),
        " THEN 0 ELSE 1 END AS BIGINT) AS is_over, s.presenters, s.ip_address, s.user_agent, s.created_at,
                (SELECT master_version FROM key_ring WHERE id = 1) AS master_version, u.version AS user_version, (SELECT CAST(version AS TEXT) || ':' || CAST(COALESCE(identity, 0) AS TEXT) FROM key_ring WHERE key_ring.id = 1) AS ring_id
           FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"
    );
    let now = conn.now();
    let row: Option<Row> = on!(conn, c => sqlx::query_as(FIND).bind(id.to_string()).bind(now.0).fetch_optional(c).await)?;
    row.map(Refreshed::try_from).transpose()
}

/// Replaces the current token of the row (`Heal`, `Supersede`), if the row is still as it was seen.
/// Returns `false` if it has changed, so that the caller decides again.
pub async fn replace(
    conn: &mut Conn,
    seen: &Refreshed,
    generation: u32,
    hash: &SecretHash,
    idle_expires_at: Timestamp,
    presenter: Entry<'_>,
) -> Result<bool> {
    const REPLACE: &str = concat!(
        "UPDATE sessions SET generation = $1, refresh_hash = $2, rotated_at = $3, idle_expires_at = $4,
                presenters = CASE WHEN substr(presenters, 1, 11) = CAST($8 AS TEXT) THEN presenters ELSE substr(CAST($9 AS TEXT) || COALESCE(presenters, ''), 1, 792) END
          WHERE id = $5 AND generation = $6 AND refresh_hash = $7 AND ",
        in_force!("sessions")
    );
    let now = conn.now();
    let changed = on!(conn, c => sqlx::query(REPLACE)
        .bind(i64::from(generation)).bind(hash_text(hash)).bind(now.0).bind(idle_expires_at.0)
        .bind(seen.session.to_string()).bind(i64::from(seen.state.generation)).bind(hash_text(&seen.state.refresh_hash))
        .bind(presenter.tag).bind(presenter.sealed)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Ends the session (`Reuse`, `Ahead`, a revocation by token), if the row is still as it was seen.
/// Returns `false` if it has changed, so that the caller decides again.
pub async fn end(
    conn: &mut Conn,
    seen: &Refreshed,
    reason: RevokedReason,
    now: Timestamp,
) -> Result<bool> {
    const END: &str = concat!(
        "UPDATE sessions SET revoked_at = $1, revoked_reason = $2 WHERE id = $3 AND generation = $4 AND refresh_hash = $5 AND ",
        in_force!("sessions")
    );
    let changed = on!(conn, c => sqlx::query(END)
        .bind(now.0).bind(reason.as_str())
        .bind(seen.session.to_string()).bind(i64::from(seen.state.generation)).bind(hash_text(&seen.state.refresh_hash))
        .execute(c).await.map(|done| done.rows_affected()))?;
    if changed == 1 {
        crate::store::session::marks::mark_acting_in(conn, seen.session, reason, now).await?;
    }
    Ok(changed == 1)
}
