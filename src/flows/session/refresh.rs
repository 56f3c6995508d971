//! Refreshing: present a token, get an access token and, unless the token is kept, its successor.
//! `model::session::refresh::decide` decides; this file carries its decision out as one writer job: the one
//! statement first, and only if that moved nothing a look at the row, the decision and its
//! compare-and-set.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::token::{NotOurs, RefreshToken};
use crate::metrics::REFRESH_TOKEN;
use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Peer};
use crate::model::kernel::id::SessionId;
use crate::model::kernel::standstill::Watch;
use crate::model::kernel::time::Timestamp;
use crate::model::session::refresh::{Child, Decision, Policy, Presented, Refusal, decide};
use crate::model::session::session::{Delivery, Lifetime};
use crate::store::session::refresh::{Entry, Refreshed, Rotation};
use crate::store::{self, WriteOptions};

use super::end_family::end_family;
use super::{impersonate, read_session, replay_alarm};
use crate::flows::audit::recorder::detail;
use crate::flows::key::inspect_keys;
use crate::flows::key::load_keys;
use crate::flows::ops::confirm_clock;
use crate::flows::token::issue_token;
use crate::flows::token::issue_token::{Issued, TokenContext};
use crate::flows::transaction::{Committed, Tx, tx};
use crate::flows::{Error, Result};

/// The answer.
pub struct Renewed {
    /// A new access token.
    pub access: Issued,
    /// The refresh token to use from now on; `None`: go on with the one you have.
    pub refresh_token: Option<Zeroizing<String>>,
    /// The session as the database has it.
    pub session: Refreshed,
    /// Whose it is.
    pub user: Arc<User>,
    /// What may be done in the session.
    pub powers: Powers,
    /// Whether the family moved on; then the session cookie is issued anew too.
    pub rotated: bool,
}

impl Renewed {
    /// The session's nearer end.
    pub fn ends_at(&self) -> Timestamp {
        self.session
            .state
            .idle_expires_at
            .min(self.session.state.expires_at)
    }
}

/// What a refresh token is presented for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To move on.
    Refresh,
    /// To vouch for a session cookie: nothing rotates.
    Vouch,
}

/// Reads and checks a token; asks the database only when it names a newer master key than we know.
pub async fn open(app: &App, text: &str) -> Result<(RefreshToken, Arc<KeyRing>)> {
    let ring = inspect_keys::loaded(app)?;
    match RefreshToken::open(text, &ring.masters) {
        Ok(token) => Ok((token, ring)),
        Err(NotOurs::Invalid) => Err(Error::RefreshTokenInvalid),
        // The master key may have been changed a second ago: one short query tells, as it does for
        // any Bearer token.
        Err(NotOurs::NewerKey(_)) => {
            load_keys::confirm(app).await?;
            let ring = inspect_keys::loaded(app)?;
            RefreshToken::open(text, &ring.masters)
                .map(|token| (token, ring))
                .map_err(|_| Error::RefreshTokenInvalid)
        }
    }
}

/// Refreshes. A process that turns out to lack the current master key decides nothing: it loads the
/// keys, and tries once more.
pub async fn refresh(
    app: &App,
    text: &str,
    channel: Delivery,
    purpose: Purpose,
    peer: &Peer,
) -> Result<Renewed> {
    let outcome = match attempt(app, text, channel, purpose, peer).await {
        Err(Error::MasterKeyChanged) => {
            load_keys::reload(app).await?;
            attempt(app, text, channel, purpose, peer).await
        }
        outcome => outcome,
    };
    if matches!(outcome, Err(Error::RefreshTokenExpired)) {
        confirm_clock::admit_expiry(app)?;
    }
    if let Err(error) = &outcome {
        app.metrics.refresh(match error {
            Error::RefreshTokenInvalid => "invalid",
            Error::RefreshTokenExpired => "expired",
            Error::RefreshTokenRevoked => "revoked",
            Error::RefreshTokenReused => "reused",
            Error::TooManyRequests(_) => "limited",
            _ => "unavailable",
        });
    }
    outcome
}

async fn attempt(
    app: &App,
    text: &str,
    channel: Delivery,
    purpose: Purpose,
    peer: &Peer,
) -> Result<Renewed> {
    let (token, ring) = open(app, text).await?;
    // Before the row moves: its new idle end would lie in the future as well.
    confirm_clock::admit_issuing(app)?;
    let presented = token.presented(&ring.masters);
    let job = Job::new(app, &token, presented, &ring, channel, purpose);
    let hash = token.hash();
    let decided = app
        .transaction_with(WriteOptions::STATEMENT, peer, tx!(tx => job.run(tx).await))
        .await?;
    let (decision, session) = match decided {
        Decided::GoesOn(decision, session) => (decision, session),
        Decided::Ended(Committed(error)) => return Err(error),
    };
    if matches!(decision, Decision::Keep | Decision::Repeat(_)) && app.config.rate_limits.enabled {
        app.refresh_pace.check(&hash).map_err(|wait| {
            app.metrics.limited(REFRESH_TOKEN);
            Error::TooManyRequests(wait)
        })?;
    }
    replay_alarm::watch(app, &session, decision, peer).await?;
    let child = match decision {
        Decision::Rotate => token.successor(&ring.masters),
        Decision::Repeat(child) | Decision::Resume(child) => token.child(child, &ring.masters),
        Decision::Supersede => token.child(Child { kin: 0, late: true }, &ring.masters),
        // These never carry a refresh token: a late answer would put an older one back into the
        // cookie jar.
        Decision::Keep
        | Decision::Heal
        | Decision::Refuse(_)
        | Decision::Ahead
        | Decision::Wait
        | Decision::Reuse => None,
    };
    let user = issue_token::user_facts(app, session.user, session.user_version).await?;
    let ends_at = session.state.idle_expires_at.min(session.state.expires_at);
    let Some(powers) = impersonate::powers(app, &user, session.impersonated_by).await? else {
        impersonate::end_unallowed(app, session.session, peer).await?;
        return Err(Error::RefreshTokenRevoked);
    };
    let grounds = TokenContext {
        session: session.session,
        auth_time: session.auth_time,
        ends_at,
        ring_id: session.ring_id,
    };
    let access = issue_token::issue(app, &user, &powers, &grounds).await?;
    app.metrics.refresh(decision.as_str());
    let refresh_token = child.map(|c| c.encode(&ring.masters));
    Ok(Renewed {
        access,
        refresh_token,
        session,
        user,
        powers,
        rotated: matches!(decision, Decision::Rotate),
    })
}

/// The session cookie that came along, signed anew, if one is this session's own and the family
/// moved on.
pub fn renew_session_cookie(
    app: &App,
    renewed: &Renewed,
    cookies: &[String],
) -> Option<Zeroizing<String>> {
    let own = |signed: &String| {
        read_session::cookie_token(app, signed)
            .filter(|token| token.hash() == renewed.session.token_hash)
    };
    let token = cookies.iter().find_map(own).filter(|_| renewed.rotated)?;
    read_session::signed_cookie(app, &token)
}

/// One writer job.
#[derive(Clone)]
struct Job {
    rotation: Option<Rotation>,
    presented: Presented,
    session: SessionId,
    channel: Delivery,
    policy: Policy,
    lifetime: Lifetime,
    vouch: bool,
    master_version: u8,
    standstills: Arc<Watch>,
}

/// What a refresh leaves in the database. A refusal that leaves nothing is an `Err`.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
enum Decided {
    /// The session goes on, as this row.
    GoesOn(Decision, Refreshed),
    /// The token looked stolen, and the session has ended with its event and its mail.
    Ended(Committed),
}

/// How often the row is read and judged: a compare-and-set that loses does it again, and three losses
/// in a row are no longer chance.
pub(super) const ROUNDS: usize = 3;

/// Why no decision was carried out after that.
pub(super) const MOVING_TOO_FAST: &str = "the session is moving too fast";

/// Why nothing is decided about a token that looks stolen.
pub(in crate::flows) const STOOD_STILL: &str =
    "the service stood still a moment ago; ask again in some seconds";

impl Job {
    fn new(
        app: &App,
        token: &RefreshToken,
        presented: Presented,
        ring: &KeyRing,
        channel: Delivery,
        purpose: Purpose,
    ) -> Self {
        let (policy, lifetime) = (app.config.sessions.refresh, app.config.sessions.lifetime);
        let vouch = purpose == Purpose::Vouch;
        let rotation = (!vouch).then(|| Rotation {
            session: token.session(),
            generation: token.generation(),
            hash: presented.hash,
            successor: presented.kin[0].successor,
            delivery: channel,
            idle: lifetime.idle,
            cooldown: policy.cooldown,
            master_version: ring.master_version,
        });
        let (session, standstills) = (token.session(), Arc::clone(&app.standstills));
        Self {
            rotation,
            presented,
            session,
            channel,
            policy,
            lifetime,
            vouch,
            master_version: ring.master_version,
            standstills,
        }
    }

    async fn run(self, tx: &mut Tx<'_>) -> Result<Decided> {
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

    /// The statement moved nothing: look why, and act.
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

    /// `None`: the row has moved meanwhile.
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
        Ok(match decision {
            Decision::Refuse(refusal) => return Err(refused(refusal)),
            Decision::Keep | Decision::Repeat(_) => Some(Decided::GoesOn(decision, row)),
            // To vouch moves nothing: the grace does not begin anew.
            Decision::Resume(child) if self.vouch => {
                Some(Decided::GoesOn(Decision::Repeat(child), row))
            }
            Decision::Rotate | Decision::Supersede if self.vouch => {
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
                let late = self.presented.kin[0].late_successor;
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
        let idle = self
            .lifetime
            .idle_end(now, row.state.expires_at)
            .max(row.state.idle_expires_at);
        let presenter = tx.recorder.seal_presenter(tx.conn, row.session)?;
        let presenter = Entry {
            tag: &presenter.tag,
            sealed: &presenter.entry,
        };
        if !store::session::refresh::replace(tx.conn, &row, generation, &hash, idle, presenter)
            .await?
        {
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
