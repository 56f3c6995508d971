//! The statements of a refresh: one on the usual path, a read and a compare-and-set on the others.
//! Only the primary key is looked up and no indexed column is written, so on Postgres every refresh
//! is a heap-only update.

use std::time::Duration;

use crate::model::kernel::id::SessionId;
use crate::model::kernel::time::{Timestamp, millis};
use crate::model::session::refresh::{MAX_CLOCK_SKEW, SecretHash};
use crate::model::session::session::{Delivery, RevokedReason};
use crate::model::session::ticket::{TicketHash, Tickets};
use crate::store::{Conn, Result, hash_text, on};

use super::epochs::{begun, in_force};
pub use super::refreshed::{Refreshed, Sides};
use super::refreshed::{Row, ticket_text};

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
    /// The ticket of the refresh. A session with tickets is only changed if there is one.
    pub ticket: Option<TicketHash>,
}

/// Row 5 of the table. Public so that the benchmark runs exactly the same statement.
pub const ROTATE: &str = concat!(
    "UPDATE sessions
            SET generation = generation + 1, refresh_hash = $1, rotated_at = $2, idle_expires_at = CASE WHEN expires_at < $3 AND (idle_ttl IS NULL OR expires_at < $2 + idle_ttl) THEN expires_at WHEN $2 + idle_ttl < $3 THEN $2 + idle_ttl ELSE $3 END,
                presenters = CASE WHEN substr(presenters, 1, 11) = CAST($11 AS TEXT) THEN presenters ELSE substr(CAST($12 AS TEXT) || COALESCE(presenters, ''), 1, 792) END,
                ticket = CASE WHEN retry = 'ticket' THEN CAST(generation + 1 AS TEXT) || ':' || CAST($13 AS TEXT) END
          WHERE id = $4 AND generation = $5 AND refresh_hash = $6 AND delivery = $7
            AND expires_at > $2 AND idle_expires_at > $2 AND (generation = 1 OR rotated_at <= $8 OR rotated_at > $9)
            AND (retry = 'window' OR CAST($13 AS TEXT) IS NOT NULL) AND (SELECT master_version FROM key_ring WHERE key_ring.id = 1) = $10 AND ",
    begun!("sessions", "$2"),
    " AND ",
    in_force!("sessions"),
    " RETURNING id, user_id, generation, refresh_hash, rotated_at, expires_at, idle_expires_at, CAST(0 AS BIGINT) AS is_over, delivery, remember, auth_time, token_hash, impersonated_by, retry, ticket, proofs, idle_ttl,
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
        .bind(r.ticket.map(|TicketHash(hash)| hash_text(&hash)))
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
        " THEN s.expires_at ELSE 0 END AS expires_at, s.idle_expires_at, s.delivery, s.remember, s.auth_time, s.token_hash, s.impersonated_by, s.retry, s.ticket, s.proofs, s.idle_ttl,
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

/// The token that becomes current in a row ([`replace`]).
#[derive(Debug, Clone, Copy)]
pub struct Replacement {
    /// The generation of the token.
    pub generation: u32,
    /// Hash of its secret.
    pub hash: SecretHash,
    /// The new idle end of the session.
    pub idle_expires_at: Timestamp,
    /// The ticket with which it was made.
    pub tickets: Tickets,
}

/// Replaces the current token of the row (`Heal`, `Supersede`, `Resume`), if the row is still as it was
/// seen. Returns `false` if it has changed, so that the caller decides again.
pub async fn replace(
    conn: &mut Conn,
    seen: &Refreshed,
    new: &Replacement,
    presenter: Entry<'_>,
) -> Result<bool> {
    const REPLACE: &str = concat!(
        "UPDATE sessions SET generation = $1, refresh_hash = $2, rotated_at = $3, idle_expires_at = $4,
                presenters = CASE WHEN substr(presenters, 1, 11) = CAST($8 AS TEXT) THEN presenters ELSE substr(CAST($9 AS TEXT) || COALESCE(presenters, ''), 1, 792) END,
                ticket = $10
          WHERE id = $5 AND generation = $6 AND refresh_hash = $7 AND ",
        in_force!("sessions")
    );
    let now = conn.now();
    let changed = on!(conn, c => sqlx::query(REPLACE)
        .bind(i64::from(new.generation)).bind(hash_text(&new.hash)).bind(now.0).bind(new.idle_expires_at.0)
        .bind(seen.session.to_string()).bind(i64::from(seen.state.generation)).bind(hash_text(&seen.state.refresh_hash))
        .bind(presenter.tag).bind(presenter.sealed)
        .bind(ticket_text(new.generation, new.tickets))
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
