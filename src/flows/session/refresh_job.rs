//! One refresh in the database: the single statement that rotates, and only if that changed nothing
//! a read of the row, the decision and its compare-and-set.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::token::RefreshToken;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Committed, Tx, tx};
use crate::flows::{Error, Result};
use crate::model::audit::event::Kind;
use crate::model::kernel::id::SessionId;
use crate::model::kernel::standstill::Watch;
use crate::model::login::policies::Bounds;
use crate::model::session::refresh::{Decision, Policy, Presented, Refusal, decide};
use crate::model::session::session::{Delivery, Lifetime};
use crate::model::session::ticket::Tickets;
use crate::store;
use crate::store::session::refresh::{Entry, Refreshed, Replacement, Rotation};

use super::end_family::end_family;
use super::refresh_token::{MOVING_TOO_FAST, Purpose, ROUNDS, STOOD_STILL};

/// One writer job of a refresh.
#[derive(Clone)]
pub(super) struct Job {
    rotation: Option<Rotation>,
    presented: Presented,
    session: SessionId,
    channel: Delivery,
    policy: Policy,
    lifetime: Lifetime,
    purpose: Purpose,
    master_version: u8,
    standstills: Arc<Watch>,
}

/// What a refresh commits. A refusal that commits nothing is an `Err`.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub(super) enum Decided {
    /// The session continues with this row.
    GoesOn(Decision, Refreshed),
    /// The token looked stolen; the session was ended, with its event and its mail.
    Ended(Committed),
}

impl Job {
    pub(super) fn new(
        app: &App,
        token: &RefreshToken,
        presented: Presented,
        ring: &KeyRing,
        channel: Delivery,
        purpose: Purpose,
    ) -> Self {
        let (policy, lifetime) = (app.config.sessions.refresh, app.config.sessions.lifetime);
        let rotation = (purpose != Purpose::Vouch).then(|| Rotation {
            session: token.session(),
            generation: token.generation(),
            hash: presented.hash,
            successor: presented.successors[0].successor,
            delivery: channel,
            idle: lifetime.idle,
            cooldown: policy.cooldown,
            master_version: ring.master_version,
            ticket: purpose.sent().hash(),
        });
        let (session, standstills) = (token.session(), Arc::clone(&app.standstills));
        Self {
            rotation,
            presented,
            session,
            channel,
            policy,
            lifetime,
            purpose,
            master_version: ring.master_version,
            standstills,
        }
    }

    pub(super) async fn run(self, tx: &mut Tx<'_>) -> Result<Decided> {
        if let Some(rotation) = &self.rotation
            && let Some(row) = self.rotate(tx, rotation).await?
        {
            return Ok(Decided::GoesOn(Decision::Rotate, row));
        }
        tx.atomic(tx!(tx => self.look_and_decide(tx).await)).await
    }

    async fn rotate(&self, tx: &mut Tx<'_>, rotation: &Rotation) -> Result<Option<Refreshed>> {
        let presenter = tx.recorder.seal_presenter(tx.conn, self.session)?;
        let entry = Entry {
            tag: &presenter.tag,
            sealed: &presenter.entry,
        };
        Ok(store::session::refresh::rotate(tx.conn, rotation, entry).await?)
    }

    /// Runs after the statement changed nothing: finds the reason, and acts.
    async fn look_and_decide(self, tx: &mut Tx<'_>) -> Result<Decided> {
        for _ in 0..ROUNDS {
            let row = store::session::refresh::find(tx.conn, self.session).await?;
            if row
                .as_ref()
                .is_some_and(|r| r.master_version != i64::from(self.master_version))
            {
                return Err(Error::MasterKeyChanged);
            }
            let now = tx.now();
            let decision = decide(
                row.as_ref().map(|r| &r.state),
                &self.presented,
                self.purpose.sent(),
                now,
                &self.policy,
                &self.standstills.at(now),
            );
            let row = row.ok_or(Error::RefreshTokenInvalid)?;
            if let Some(done) = self.act(tx, decision, row).await? {
                return Ok(done);
            }
        }
        Err(Error::Unavailable(MOVING_TOO_FAST.into()))
    }

    /// Carries a decision out; returns `None` if the row has changed meanwhile.
    async fn act(
        &self,
        tx: &mut Tx<'_>,
        decision: Decision,
        row: Refreshed,
    ) -> Result<Option<Decided>> {
        let serves = matches!(
            decision,
            Decision::Keep
                | Decision::Rotate
                | Decision::Repeat(_)
                | Decision::Resume(_)
                | Decision::Supersede
                | Decision::Heal
        );
        if serves && row.delivery != self.channel {
            return Err(Error::RefreshTokenInvalid);
        }
        let vouches = self.purpose == Purpose::Vouch;
        Ok(match decision {
            Decision::Refuse(refusal) => return Err(refused(refusal)),
            Decision::TicketMissing => return Err(Error::RefreshAttemptMissing),
            Decision::Superseding => return Err(Error::RefreshUnderWay),
            Decision::Keep | Decision::Repeat(_) => Some(Decided::GoesOn(decision, row)),
            // Vouching changes nothing: the grace does not begin again.
            Decision::Resume(child) if vouches => {
                Some(Decided::GoesOn(Decision::Repeat(child), row))
            }
            Decision::Rotate | Decision::Supersede if vouches => {
                Some(Decided::GoesOn(Decision::Keep, row))
            }
            Decision::Rotate => match &self.rotation {
                Some(rotation) => self
                    .rotate(tx, rotation)
                    .await?
                    .map(|row| Decided::GoesOn(Decision::Rotate, row)),
                None => None,
            },
            Decision::Resume(_) => {
                let current = row.state.refresh_hash;
                self.replace(tx, decision, row, current).await?
            }
            Decision::Supersede => {
                let late = self.presented.successors[0].late_successor;
                self.replace(tx, decision, row, late).await?
            }
            Decision::Heal => self.replace(tx, decision, row, self.presented.hash).await?,
            Decision::Wait => return Err(Error::Unavailable(STOOD_STILL.into())),
            Decision::Ahead | Decision::Reuse => {
                end_family(tx, decision, &row, self.presented.generation)
                    .await?
                    .map(Decided::Ended)
            }
        })
    }

    async fn replace(
        &self,
        tx: &mut Tx<'_>,
        decision: Decision,
        row: Refreshed,
        hash: [u8; 32],
    ) -> Result<Option<Decided>> {
        let now = tx.now();
        let generation = if decision == Decision::Heal {
            self.presented.generation
        } else {
            row.state.generation
        };
        let own = Bounds::of_idle(row.idle);
        let idle = self
            .lifetime
            .within(own)
            .idle_end(now, row.state.expires_at)
            .max(row.state.idle_expires_at);
        let presenter = tx.recorder.seal_presenter(tx.conn, row.session)?;
        let presenter = Entry {
            tag: &presenter.tag,
            sealed: &presenter.entry,
        };
        // Only the token that is returned once more keeps its ticket.
        let tickets = match (decision, row.state.tickets) {
            (Decision::Resume(_), tickets) => tickets,
            (_, Tickets::Used(_)) => Tickets::Used(None),
            (_, Tickets::Unused) => Tickets::Unused,
        };
        let new = Replacement {
            generation,
            hash,
            idle_expires_at: idle,
            tickets,
        };
        if !store::session::refresh::replace(tx.conn, &row, &new, presenter).await? {
            return Ok(None);
        }
        if decision == Decision::Heal {
            let what = detail([("generation", generation.into())]);
            let kind = Kind::RefreshTokenHealed;
            tx.record(kind, Some(row.user), Some(row.session), what)
                .await?;
        }
        let state = crate::model::session::refresh::Row {
            generation,
            refresh_hash: hash,
            rotated_at: now,
            idle_expires_at: idle,
            tickets,
            ..row.state
        };
        let row = Refreshed { state, ..row };
        Ok(Some(Decided::GoesOn(decision, row)))
    }
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Unknown => Error::RefreshTokenInvalid,
        Refusal::Revoked => Error::RefreshTokenRevoked,
        Refusal::Expired => Error::RefreshTokenExpired,
    }
}
