//! The row of a session as a refresh reads it: the columns that the decision depends on, and what the
//! answer needs.

use std::time::Duration;

use sqlx::FromRow;

use super::sessions::{idle, proofs};
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::key::ring_id::RingId;
use crate::model::login::proof::Proofs;
use crate::model::session::refresh::Row as State;
use crate::model::session::session::{Delivery, nearer_end};
use crate::model::session::ticket::{Retry, TicketHash, Tickets};
use crate::store::{Error, Result, hash_text, parse_hash};

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
    /// What was proven for it, and when.
    pub proofs: Proofs,
    /// The longest time without use, if a role of its user bounds it.
    pub idle: Option<Duration>,
    /// When the user last proved anything; of an impersonation, when the admin did.
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

#[derive(FromRow)]
pub(super) struct Row {
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
    retry: String,
    ticket: Option<String>,
    proofs: Option<String>,
    idle_ttl: Option<i64>,
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

/// Returns the stored text of the ticket with which the token of a generation was made.
pub(super) fn ticket_text(generation: u32, tickets: Tickets) -> Option<String> {
    match tickets {
        Tickets::Used(Some(TicketHash(hash))) => Some(format!("{generation}:{}", hash_text(&hash))),
        Tickets::Used(None) | Tickets::Unused => None,
    }
}

/// Parses that text; a ticket of another generation counts as none. `None` for any other text.
fn parse_ticket(text: &str, generation: i64) -> Option<Tickets> {
    let (made, hash) = text.split_once(':')?;
    let made: i64 = made.parse().ok()?;
    let hash = TicketHash(parse_hash(hash)?);
    Some(Tickets::Used(Some(hash).filter(|_| made == generation)))
}

impl TryFrom<Row> for Refreshed {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let corrupt = |column| Error::Corrupt {
            table: "sessions",
            column,
        };
        let tickets = match (Retry::parse(&row.retry), &row.ticket) {
            (None, _) => return Err(corrupt("retry")),
            (Some(Retry::Window), _) => Tickets::Unused,
            (Some(Retry::Ticket), None) => Tickets::Used(None),
            (Some(Retry::Ticket), Some(ticket)) => {
                parse_ticket(ticket, row.generation).ok_or_else(|| corrupt("ticket"))?
            }
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
                tickets,
            },
            delivery,
            remember: row.remember != 0,
            proofs: proofs(
                row.proofs.as_deref(),
                row.auth_time,
                row.impersonated_by.is_some(),
            )?,
            idle: idle(row.idle_ttl)?,
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
