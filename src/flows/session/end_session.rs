//! Ends a session by one of its tokens: at sign-out, when a sign-in replaces it, at
//! `/oauth2/revoke`. The decision about a refresh token is made before it ends anything, so that a
//! thief cannot remove the evidence: a spent token is reuse, with its event.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::token::{RefreshToken, SessionToken};
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::flows::{Error, Result};
use crate::model::audit::event::Kind;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::standstill::Watch;
use crate::model::session::refresh::{Decision, Policy, Presented, Refusal, decide};
use crate::model::session::session::{End, RevokedReason};
use crate::model::session::ticket::Sent;
use crate::store;
use crate::store::session::endings;
use crate::store::session::endings::{Ended, Which};
use crate::store::session::sessions::By;

use super::end_family::end_family;
use super::refresh_token;

/// Tokens of sessions that are to end, opened and checked.
#[derive(Clone)]
pub struct SessionRevocation {
    sessions: Vec<[u8; 32]>,
    ids: Vec<(SessionId, UserId)>,
    left: Vec<SessionId>,
    refreshes: Vec<(RefreshToken, Presented)>,
    policy: Policy,
    standstills: Arc<Watch>,
    reason: RevokedReason,
}

impl SessionRevocation {
    /// Collects the tokens; invalid ones are left out.
    pub async fn of(
        app: &App,
        session_tokens: &[SessionToken],
        refresh_tokens: &[&str],
        reason: RevokedReason,
    ) -> Result<Self> {
        let mut refreshes = Vec::new();
        for text in refresh_tokens {
            match refresh_token::open(app, text).await {
                Ok((token, ring)) => refreshes.push(judge(token, &ring)),
                Err(Error::RefreshTokenInvalid) => {}
                Err(error) => return Err(error),
            }
        }
        // Several cookies of one name: for each session the highest generation counts, so that the
        // current token is never reuse.
        refreshes.sort_by_key(|(token, _): &(RefreshToken, _)| {
            (token.session(), std::cmp::Reverse(token.generation()))
        });
        refreshes.dedup_by_key(|(token, _)| token.session());
        let sessions = session_tokens.iter().map(SessionToken::hash).collect();
        Ok(Self {
            sessions,
            ids: Vec::new(),
            left: Vec::new(),
            refreshes,
            policy: app.config.sessions.refresh,
            standstills: Arc::clone(&app.standstills),
            reason,
        })
    }

    /// Adds sessions that this browser has had. Live ones continue; for ended ones it is recorded
    /// that the browser has left them.
    #[must_use]
    pub fn and_left(mut self, sessions: Vec<SessionId>) -> Self {
        self.left = sessions;
        self
    }

    /// Adds sessions by their id and user, as access tokens of this service name them.
    #[must_use]
    pub fn and_sessions(mut self, named: Vec<(SessionId, UserId)>) -> Self {
        self.ids.extend(named);
        self
    }

    /// Returns whether there is nothing to end.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.refreshes.is_empty() && self.ids.is_empty()
    }

    /// Ends them, refresh tokens first, because a decision about those takes precedence. Returns
    /// whether any token named a session, which may have ended before.
    pub async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        // The tag of a refresh token authenticates its session, even if the row was deleted
        // meanwhile.
        let mut named = !self.refreshes.is_empty();
        for (token, presented) in &self.refreshes {
            self.end_by_refresh_token(tx, token, presented).await?;
        }
        for hash in &self.sessions {
            named |= self.end_one(tx, &By::TokenHash(*hash)).await?;
        }
        for (id, user) in &self.ids {
            if store::session::list_sessions::owner(tx.conn, *id).await? == Some(*user) {
                named |= self.end_one(tx, &By::Id(*id)).await?;
            }
        }
        for id in &self.left {
            let now = tx.now();
            if store::session::sessions::find_live(tx.conn, &By::Id(*id), now)
                .await?
                .is_none()
            {
                self.leave(tx, &By::Id(*id)).await?;
            }
        }
        Ok(named)
    }

    /// Records that another session replaces one that has ended: a later refusal of the old one
    /// must not clear the cookies of the new one.
    async fn leave(&self, tx: &mut Tx<'_>, by: &By) -> Result<()> {
        if self.reason == RevokedReason::Replaced {
            let now = tx.now();
            store::session::ended::leave(tx.conn, by, now).await?;
        }
        Ok(())
    }

    async fn end_one(&self, tx: &mut Tx<'_>, by: &By) -> Result<bool> {
        let now = tx.now();
        if let Some(found) = store::session::sessions::find_live(tx.conn, by, now).await? {
            end(tx, Which::One(found.session.id), self.reason).await?;
            return Ok(true);
        }
        self.leave(tx, by).await?;
        let over = store::session::ended::end_of(tx.conn, by, now).await?;
        // It may only seem to have expired, by a clock that is ahead: signing out ends it
        // permanently.
        if over == Some(End::Expired) && self.reason == RevokedReason::SignOut {
            store::session::ended::sign_out(tx.conn, by, now).await?;
        }
        Ok(over.is_some())
    }

    async fn end_by_refresh_token(
        &self,
        tx: &mut Tx<'_>,
        token: &RefreshToken,
        presented: &Presented,
    ) -> Result<()> {
        // On Postgres the row may change after it was read; then it is read and decided again.
        for _ in 0..refresh_token::ROUNDS {
            let Some(row) = store::session::refresh::find(tx.conn, token.session()).await? else {
                return Ok(());
            };
            let now = tx.now();
            let decision = decide(
                Some(&row.state),
                presented,
                Sent::Ending,
                now,
                &self.policy,
                &self.standstills.at(now),
            );
            match decision {
                Decision::Refuse(Refusal::Expired) => {
                    self.end_one(tx, &By::Id(row.session)).await?;
                }
                Decision::Refuse(_) => self.leave(tx, &By::Id(row.session)).await?,
                Decision::Reuse | Decision::Ahead => {
                    // The error concerns the old session alone: the request continues.
                    let ended = end_family(tx, decision, &row, presented.generation).await?;
                    if ended.is_none() {
                        continue;
                    }
                }
                Decision::Wait => {
                    return Err(Error::Unavailable(refresh_token::STOOD_STILL.into()));
                }
                Decision::Keep
                | Decision::Rotate
                | Decision::Repeat(_)
                | Decision::Superseding
                | Decision::TicketMissing
                | Decision::Resume(_)
                | Decision::Supersede
                | Decision::Heal => {
                    end(tx, Which::One(row.session), self.reason).await?;
                }
            }
            return Ok(());
        }
        Err(Error::Unavailable(refresh_token::MOVING_TOO_FAST.into()))
    }
}

fn judge(token: RefreshToken, ring: &KeyRing) -> (RefreshToken, Presented) {
    let presented = token.presented(&ring.masters);
    (token, presented)
}

/// Ends sessions and records it in one event, which is one webhook message, however many they are.
pub async fn end(tx: &mut Tx<'_>, which: Which, reason: RevokedReason) -> Result<Ended> {
    let cause = tx.cause(reason);
    let ended = endings::end(tx.conn, which, &cause).await?;
    // A sign-in that waits for its second step would be a session soon.
    match which {
        Which::OfUser { user, except } => {
            store::login::challenges::end_of_user(tx.conn, user).await?;
            let is_everywhere = matches!(
                reason,
                RevokedReason::Revoked | RevokedReason::UserBanned | RevokedReason::UserDisabled
            );
            // Other reasons have raised it already. Remembered browsers are asked for the second
            // step again.
            if is_everywhere && except.is_none() {
                let now = tx.now();
                store::account::users::raise_login_epoch(tx.conn, user, now).await?;
            }
        }
        Which::Everybody => store::login::challenges::end_of_everybody(tx.conn).await?,
        Which::One(_) | Which::ActedBy(_) => {}
    }
    record(tx, which, &ended, reason).await?;
    Ok(ended)
}

async fn record(tx: &mut Tx<'_>, which: Which, ended: &Ended, reason: RevokedReason) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let kind = if reason == RevokedReason::SignOut {
        Kind::SignedOut
    } else {
        Kind::SessionRevoked
    };
    let why: (&str, serde_json::Value) = ("reason", reason.as_str().into());
    if let (Which::One(_), [(session, user), acted @ ..]) = (which, ended.marked.as_slice()) {
        tx.record(kind, Some(*user), Some(*session), detail([why.clone()]))
            .await?;
        for (session, user) in acted {
            let why = detail([why.clone()]);
            tx.record(Kind::SessionRevoked, Some(*user), Some(*session), why)
                .await?;
        }
        return Ok(());
    }
    if let ([(session, user)], true) = (ended.marked.as_slice(), ended.complete) {
        return tx
            .record(kind, Some(*user), Some(*session), detail([why]))
            .await;
    }
    let (subject, whose) = match which {
        Which::One(_) => (None, "one"),
        Which::OfUser { user, .. } => (Some(user), "user"),
        Which::ActedBy(user) => (Some(user), "acting"),
        Which::Everybody => (None, "everybody"),
    };
    // Of very many sessions only the first are counted here.
    let what = detail([
        why,
        ("of", whose.into()),
        ("sessions", ended.marked.len().into()),
        ("more", (!ended.complete).into()),
    ]);
    tx.record(kind, subject, None, what).await
}

/// The greatest number of sessions that a sign-in ends to make room for its own.
const ROOM: i64 = 100;

/// Ends the least recently used sessions of a user who has more than `sessions.max_per_user`, in
/// the transaction that opens `new`. With `acted` those in which this user impersonates another
/// one.
pub async fn make_room(tx: &mut Tx<'_>, user: UserId, acted: bool, new: SessionId) -> Result<()> {
    let most = tx.recorder.max_sessions;
    let old = store::session::old_sessions::too_many(tx.conn, user, acted, new, most, ROOM).await?;
    let mut ended = Ended {
        complete: true,
        ..Ended::default()
    };
    for id in old {
        let cause = tx.cause(RevokedReason::TooMany);
        let more = endings::end(tx.conn, Which::One(id), &cause).await?;
        ended.marked.extend(more.marked);
    }
    let others = Which::OfUser {
        user,
        except: Some(new),
    };
    record(tx, others, &ended, RevokedReason::TooMany).await
}
