//! Statements about sessions, except for the refresh (`refresh`).

use std::time::Duration;

use sqlx::FromRow;

use crate::model::kernel::id::SessionId;
use crate::model::kernel::time::{Timestamp, millis};
use crate::model::key::ring_id::RingId;
use crate::model::login::gate::Cleared;
use crate::model::login::proof::{Proof, Proofs};
use crate::model::session::session::{Delivery, Session};
use crate::model::session::ticket::Retry;

use super::epochs::{begun, in_force};
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Error, Result, hash_text, on};

#[derive(FromRow)]
pub(super) struct Row {
    id: String,
    user_id: String,
    delivery: String,
    remember: i64,
    auth_time: i64,
    created_at: i64,
    updated_at: i64,
    expires_at: i64,
    ip_address: String,
    user_agent: String,
    impersonated_by: Option<String>,
    retry: String,
    proofs: Option<String>,
    idle_ttl: Option<i64>,
}

pub(super) fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "sessions",
        column,
    }
}

/// Reads what was proven for a session. A release without factors stored nothing: there the
/// password opened every session, or an admin vouched for it.
pub(super) fn proofs(
    stored: Option<&str>,
    auth_time: i64,
    is_impersonation: bool,
) -> Result<Proofs> {
    match stored {
        Some(text) => Proofs::parse(text).ok_or_else(|| corrupt("proofs")),
        None if is_impersonation => Ok(Proofs::of(Proof::Vouched, Timestamp(auth_time))),
        None => Ok(Proofs::of(Proof::Password, Timestamp(auth_time))),
    }
}

/// Reads the longest time without use of a session.
pub(super) fn idle(stored: Option<i64>) -> Result<Option<Duration>> {
    let millis = |stored| u64::try_from(stored).map_err(|_| corrupt("idle_ttl"));
    Ok(stored.map(millis).transpose()?.map(Duration::from_millis))
}

impl TryFrom<Row> for Session {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id.parse().map_err(|_| corrupt("id"))?,
            user_id: row.user_id.parse().map_err(|_| corrupt("user_id"))?,
            delivery: Delivery::parse(&row.delivery).ok_or_else(|| corrupt("delivery"))?,
            remember: row.remember != 0,
            proofs: proofs(
                row.proofs.as_deref(),
                row.auth_time,
                row.impersonated_by.is_some(),
            )?,
            auth_time: Timestamp(row.auth_time),
            created_at: Timestamp(row.created_at),
            updated_at: Timestamp(row.updated_at),
            expires_at: Timestamp(row.expires_at),
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            impersonated_by: row
                .impersonated_by
                .map(|id| id.parse().map_err(|_| corrupt("impersonated_by")))
                .transpose()?,
            retry: Retry::parse(&row.retry).ok_or_else(|| corrupt("retry"))?,
            idle: idle(row.idle_ttl)?,
        })
    }
}

/// A session about to begin.
#[derive(Clone)]
pub struct New {
    /// The part that a client may see.
    pub session: Session,
    /// Hash of the session token.
    pub token_hash: [u8; 32],
    /// Hash of the secret of the first refresh token.
    pub refresh_hash: [u8; 32],
    /// The idle end of the session.
    pub idle_expires_at: Timestamp,
    /// The session of the admin who impersonates in this one: it ends with that session.
    pub acting_session: Option<SessionId>,
}

/// SQL: inserts the session of a user who may sign in and whose `login_epoch` is still the one that
/// the gate saw.
macro_rules! insert_session {
    ($from:expr, $proof:expr, $lock:expr) => {
        concat!(
            "INSERT INTO sessions (id, user_id, token_hash, generation, refresh_hash, rotated_at, idle_expires_at, expires_at, revoked_at, revoked_reason,
                               delivery, remember, auth_time, ip_address, user_agent, impersonated_by, created_at, updated_at, acting_session, epoch, acting_epoch, retry, proofs, idle_ttl)
         SELECT $1, u.id, $2, 1, $3, CAST($4 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS BIGINT), NULL, NULL,
                $7, CAST($8 AS BIGINT), CAST($13 AS BIGINT), $9, $10, CAST($14 AS TEXT), CAST($4 AS BIGINT), CAST($4 AS BIGINT), CAST($15 AS TEXT),
                u.session_epoch + (SELECT epoch FROM key_ring WHERE key_ring.id = 1),
                CASE WHEN CAST($14 AS TEXT) IS NULL THEN 0
                     ELSE (SELECT actor.acting_epoch FROM users actor WHERE actor.id = CAST($14 AS TEXT)) + (SELECT epoch FROM key_ring WHERE key_ring.id = 1) END,
                CAST($16 AS TEXT), CAST($18 AS TEXT), CAST($19 AS BIGINT)
           FROM ",
            $from,
            " WHERE u.id = $11 AND u.disabled_at IS NULL AND (u.banned = 0 OR u.ban_expires_at <= $4)
            AND u.login_epoch = $17 AND (SELECT master_version FROM key_ring WHERE key_ring.id = 1) = $12",
            $proof,
            $lock,
            " RETURNING (SELECT CAST(version AS TEXT) || ':' || CAST(COALESCE(identity, 0) AS TEXT) FROM key_ring WHERE key_ring.id = 1)"
        )
    };
}

/// SQL: the password need not be replaced first.
macro_rules! usable_password {
    () => {
        " AND a.password_hash IS NOT NULL AND a.password_epoch >= (SELECT password_epoch FROM key_ring WHERE key_ring.id = 1)"
    };
}

/// Inserts the session that the gate has cleared, if the user may still sign in and nothing has
/// changed since: the password, the email address and the factors, or that the password has to be
/// replaced first. Returns the key ring's state if it did. A process without the current master
/// key inserts nothing.
pub async fn insert(
    conn: &mut Conn,
    new: &New,
    cleared: &Cleared,
    master_version: u8,
) -> Result<Option<RingId>> {
    // SQLite has one writer. On Postgres the password and the user are locked, in the order in
    // which a change of the password locks them.
    const BY_PASSWORD: Locking = Locking {
        sqlite: insert_session!(
            "users u JOIN accounts a ON a.user_id = u.id AND a.provider_id = 'credential'",
            usable_password!(),
            ""
        ),
        postgres: insert_session!(
            "users u JOIN accounts a ON a.user_id = u.id AND a.provider_id = 'credential'",
            usable_password!(),
            " FOR SHARE OF a, u "
        ),
    };
    const WITHOUT_PASSWORD: Locking = Locking {
        sqlite: insert_session!("users u", "", ""),
        postgres: insert_session!("users u", "", " FOR SHARE OF u "),
    };
    let sql = if cleared.proofs().contains(Proof::Password) {
        BY_PASSWORD.on(conn)
    } else {
        WITHOUT_PASSWORD.on(conn)
    };
    let s = &new.session;
    let inserted: Vec<(String,)> = on!(conn, c => {
        sqlx::query_as(sql)
            .bind(s.id.to_string())
            .bind(hash_text(&new.token_hash))
            .bind(hash_text(&new.refresh_hash))
            .bind(s.created_at.0)
            .bind(new.idle_expires_at.0)
            .bind(s.expires_at.0)
            .bind(s.delivery.as_str())
            .bind(i64::from(s.remember))
            .bind(s.ip_address.as_str())
            .bind(s.user_agent.as_str())
            .bind(cleared.user().to_string())
            .bind(i64::from(master_version))
            .bind(s.auth_time.0)
            .bind(s.impersonated_by.map(|id| id.to_string()))
            .bind(new.acting_session.map(|id| id.to_string()))
            .bind(s.retry.as_str())
            .bind(cleared.epoch())
            .bind(cleared.proofs().to_text())
            .bind(s.idle.map(millis))
            .fetch_all(c)
            .await
    })?;
    inserted
        .first()
        .map(|(id,)| {
            id.parse().map_err(|_| Error::Corrupt {
                table: "key_ring",
                column: "identity",
            })
        })
        .transpose()
}

/// The key by which a session is looked up.
#[derive(Clone, Copy)]
pub enum By {
    /// By the hash of its session token.
    TokenHash([u8; 32]),
    /// By its id, from a verified access token.
    Id(SessionId),
}

/// A live session, the generation of its row, and the version of the key ring.
pub struct Found {
    /// The part that a client may see.
    pub session: Session,
    /// The generation of the refresh token; greater than 1 once the session has refreshed.
    pub generation: u32,
    /// The idle end of the session.
    pub idle_expires_at: Timestamp,
    /// `users.version` of its user.
    pub user_version: i64,
    /// The state of the key ring.
    pub ring_id: RingId,
}

#[derive(FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    session: Row,
    generation: i64,
    idle_expires_at: i64,
    user_version: i64,
    ring_id: String,
}

/// Returns the session if it has begun, was ended neither by itself nor by an epoch, and is not
/// past an end.
pub async fn find_live(conn: &mut Conn, by: &By, now: Timestamp) -> Result<Option<Found>> {
    macro_rules! found {
        ($key:literal) => {
            concat!(
                "SELECT s.id, s.user_id, s.delivery, s.remember, s.auth_time, s.created_at, s.updated_at, s.expires_at, s.ip_address, s.user_agent, s.impersonated_by, s.retry, s.proofs, s.idle_ttl,
                        s.generation, s.idle_expires_at, u.version AS user_version, (SELECT CAST(version AS TEXT) || ':' || CAST(COALESCE(identity, 0) AS TEXT) FROM key_ring WHERE key_ring.id = 1) AS ring_id
                   FROM sessions s JOIN users u ON u.id = s.user_id WHERE ",
                $key,
                " = $1 AND s.expires_at > $2 AND s.idle_expires_at > $2 AND ",
                begun!("s", "$2"),
                " AND ",
                in_force!("s")
            )
        };
    }
    const BY_TOKEN: &str = found!("s.token_hash");
    const BY_ID: &str = found!("s.id");
    let (sql, key) = match by {
        By::TokenHash(hash) => (BY_TOKEN, hash_text(hash)),
        By::Id(id) => (BY_ID, id.to_string()),
    };
    let row: Option<FoundRow> =
        on!(conn, c => sqlx::query_as(sql).bind(key.as_str()).bind(now.0).fetch_optional(c).await)?;
    row.map(|row| {
        Ok(Found {
            session: row.session.try_into()?,
            generation: u32::try_from(row.generation).map_err(|_| corrupt("generation"))?,
            idle_expires_at: Timestamp(row.idle_expires_at),
            user_version: row.user_version,
            ring_id: row.ring_id.parse().map_err(|_| Error::Corrupt {
                table: "key_ring",
                column: "identity",
            })?,
        })
    })
    .transpose()
}

/// Writes the idle end of a session whose cookie was used. It never moves back, and a session that
/// has ended meanwhile stays ended.
pub async fn slide(
    conn: &mut Conn,
    id: SessionId,
    idle_expires_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    const SLIDE: &str = concat!(
        "UPDATE sessions SET idle_expires_at = $1, updated_at = $2 WHERE id = $3 AND idle_expires_at <= $1 AND expires_at > $2 AND idle_expires_at > $2 AND ",
        begun!("sessions", "$2"),
        " AND ",
        in_force!("sessions")
    );
    on!(conn, c => sqlx::query(SLIDE).bind(idle_expires_at.0).bind(now.0).bind(id.to_string()).execute(c).await.map(|_| ()))?;
    Ok(())
}
