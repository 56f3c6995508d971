//! The statements of a refresh: one on the warm path, a look and a compare-and-set on the others.
//! Only the primary key is looked up and no indexed column is written, so on Postgres every refresh
//! is a heap-only update.

use std::time::Duration;

use sqlx::FromRow;

use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::{Timestamp, millis};
use crate::model::key::ring_id::RingId;
use crate::model::session::refresh::{MAX_CLOCK_SKEW, Row as State, SecretHash};
use crate::model::session::session::{Delivery, RevokedReason};

use super::epochs::{begun, in_force};
use crate::store::{Conn, Error, Result, hash_text, on, parse_hash};

/// What the answer to a refresh needs, in the same round trip.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// `users.version`: the other half of the cache key.
    pub user_version: i64,
    /// The key ring's state: a replica that holds another one reloads before it signs.
    pub ring_id: RingId,
    /// The part that decides.
    pub state: State,
    /// How its tokens travel.
    pub delivery: Delivery,
    /// Whether its cookies outlive the browser.
    pub remember: bool,
    /// When the password was last proven.
    pub auth_time: Timestamp,
    /// The admin who acts as the user.
    pub impersonated_by: Option<UserId>,
    /// Hash of its session token.
    pub token_hash: [u8; 32],
    /// The current master key's version: a process that lacks it must not decide.
    pub master_version: i64,
    /// The last presenters, sealed, and the sign-in; only where the row was looked at.
    pub sides: Sides,
}

/// Who used a session, as its row knows.
#[derive(Debug, Clone, Default)]
pub struct Sides {
    /// Sealed entries, the newest first.
    pub presenters: String,
    /// Address of the sign-in.
    pub ip_address: String,
    /// Agent of the sign-in.
    pub user_agent: String,
    /// The sign-in, Unix milliseconds.
    pub signed_in_at: i64,
}

/// A presenter as it is written into the row.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'e> {
    /// Tells the same presenter again: its first entry stays.
    pub tag: &'e str,
    /// Tag and sealed presenter; entries are [`ENTRY`] characters.
    pub sealed: &'e str,
}

/// Characters of an entry; the statements below keep two of them.
pub const ENTRY: usize = 396;
/// Characters of its tag.
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
    /// 1: it was ended, by itself or by an epoch.
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
    /// The session.
    pub session: SessionId,
    /// The presented generation.
    pub generation: u32,
    /// Hash of the presented secret.
    pub hash: SecretHash,
    /// Hash of its successor.
    pub successor: SecretHash,
    /// Cookie or body; the other channel moves nothing.
    pub delivery: Delivery,
    /// From now to the new idle end, if that is before the absolute one.
    pub idle: Duration,
    /// A current token younger than this is kept.
    pub cooldown: Duration,
    /// The master key that computed the successor's tag; if it is no longer the current one,
    /// nothing moves.
    pub master_version: u8,
}

/// Row 5 of the table. Public so that the benchmark runs the very same text beside us.
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

/// Row 5 of the table as one statement: `None` if anything at all was not as it should be.
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
        // Not `fetch_optional`: that resets the statement after its first row, and alone that reset
        // is the commit whose failure sqlx drops.
        .fetch_all(c).await)?;
    rows.into_iter().next().map(Refreshed::try_from).transpose()
}

/// The row, live or not. One that began in the future is past its end.
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

/// Moves the row from what was seen to another current token (`Heal`, `Supersede`); `false`: it has
/// moved meanwhile, decide again.
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

/// Ends the session as it was seen (`Reuse`, `Ahead`, a revocation by token); `false`: it has moved
/// meanwhile, decide again.
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
