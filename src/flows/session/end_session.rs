//! Ending a session by one of its tokens: at sign-out, when a sign-in takes its place, at
//! `/oauth2/revoke`. A refresh token is judged before it ends anything, so that a thief cannot
//! clean up quietly: a spent one is reuse, with its event.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::token::{RefreshToken, SessionToken};
use crate::model::audit::event::Kind;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::standstill::Watch;
use crate::model::session::refresh::{Decision, Policy, Presented, Refusal, decide};
use crate::model::session::session::{End, RevokedReason};
use crate::store::session::endings;
use crate::store::session::endings::{Ended, Which};
use crate::store::session::sessions::By;
use crate::store::{self, Conn};

use super::end_family::end_family;
use super::refresh;
use crate::flows::audit::recorder::{Recorder, detail};
use crate::flows::{Error, Result};

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
    /// Gathers the tokens; what is none of ours is left out.
    pub async fn of(
        app: &App,
        session_tokens: &[SessionToken],
        refresh_tokens: &[&str],
        reason: RevokedReason,
    ) -> Result<Self> {
        let mut refreshes = Vec::new();
        for text in refresh_tokens {
            match refresh::open(app, text).await {
                Ok((token, ring)) => refreshes.push(judge(token, &ring)),
                Err(Error::RefreshTokenInvalid) => {}
                Err(error) => return Err(error),
            }
        }
        // Two cookies of one name: of one session the highest generation counts, so that the
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

    /// Adds sessions that this browser has had. Those that live go on; of those that are over it is
    /// noted that the browser has left them.
    #[must_use]
    pub fn and_left(mut self, sessions: Vec<SessionId>) -> Self {
        self.left = sessions;
        self
    }

    /// Adds sessions by their id and their user, as access tokens of ours name them.
    #[must_use]
    pub fn and_sessions(mut self, named: Vec<(SessionId, UserId)>) -> Self {
        self.ids.extend(named);
        self
    }

    /// Whether there is anything to end.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.refreshes.is_empty() && self.ids.is_empty()
    }

    /// Ends them, refresh tokens first: their judgement outranks a plain end. Tells whether any
    /// token named a session, which may have ended before.
    pub async fn run(&self, conn: &mut Conn, recorder: &Recorder) -> store::Result<bool> {
        // The tag of a refresh token vouches for its session, also where the row was deleted
        // meanwhile.
        let mut named = !self.refreshes.is_empty();
        for (token, presented) in &self.refreshes {
            self.end_by_refresh_token(conn, recorder, token, presented)
                .await?;
        }
        for hash in &self.sessions {
            named |= self.end_one(conn, recorder, &By::TokenHash(*hash)).await?;
        }
        for (id, user) in &self.ids {
            if store::session::sessions::owner(conn, *id).await? == Some(*user) {
                named |= self.end_one(conn, recorder, &By::Id(*id)).await?;
            }
        }
        for id in &self.left {
            if store::session::sessions::find_live(conn, &By::Id(*id), conn.now())
                .await?
                .is_none()
            {
                self.leave(conn, &By::Id(*id)).await?;
            }
        }
        Ok(named)
    }

    /// Where another session takes the place of one that is over already, a refusal of the old one
    /// must not clear the cookies of the new one.
    async fn leave(&self, conn: &mut Conn, by: &By) -> store::Result<()> {
        if self.reason == RevokedReason::Replaced {
            store::session::ended::leave(conn, by, conn.now()).await
        } else {
            Ok(())
        }
    }

    async fn end_one(&self, conn: &mut Conn, recorder: &Recorder, by: &By) -> store::Result<bool> {
        if let Some(found) = store::session::sessions::find_live(conn, by, conn.now()).await? {
            end(conn, recorder, Which::One(found.session.id), self.reason).await?;
            return Ok(true);
        }
        self.leave(conn, by).await?;
        let over = store::session::ended::end_of(conn, by, conn.now()).await?;
        // It may only look so, by a clock that is ahead: signing out ends it for good.
        if over == Some(End::Expired) && self.reason == RevokedReason::SignOut {
            store::session::ended::sign_out(conn, by, conn.now()).await?;
        }
        Ok(over.is_some())
    }

    async fn end_by_refresh_token(
        &self,
        conn: &mut Conn,
        recorder: &Recorder,
        token: &RefreshToken,
        presented: &Presented,
    ) -> store::Result<()> {
        // On Postgres the row may move after it was read; then it is read and judged again.
        for _ in 0..refresh::ROUNDS {
            let Some(row) = store::session::refresh::find(conn, token.session()).await? else {
                return Ok(());
            };
            let now = conn.now();
            let decision = decide(
                Some(&row.state),
                presented,
                now,
                &self.policy,
                &self.standstills.at(now),
            );
            match decision {
                Decision::Refuse(Refusal::Expired) => {
                    self.end_one(conn, recorder, &By::Id(row.session)).await?;
                }
                Decision::Refuse(_) => self.leave(conn, &By::Id(row.session)).await?,
                Decision::Reuse | Decision::Ahead => {
                    let ended = end_family(conn, decision, &row, presented.generation, recorder);
                    if ended.await?.is_none() {
                        continue;
                    }
                }
                Decision::Wait => {
                    return Err(store::Error::Unavailable(refresh::STOOD_STILL.into()));
                }
                Decision::Keep
                | Decision::Rotate
                | Decision::Repeat(_)
                | Decision::Resume(_)
                | Decision::Supersede
                | Decision::Heal => {
                    end(conn, recorder, Which::One(row.session), self.reason).await?;
                }
            }
            return Ok(());
        }
        Err(store::Error::Unavailable(refresh::MOVING_TOO_FAST.into()))
    }
}

fn judge(token: RefreshToken, ring: &KeyRing) -> (RefreshToken, Presented) {
    let presented = token.presented(&ring.masters);
    (token, presented)
}

/// Ends sessions and records it: one event, and so one call of a webhook, however many they are.
pub async fn end(
    conn: &mut Conn,
    recorder: &Recorder,
    which: Which,
    reason: RevokedReason,
) -> store::Result<Ended> {
    let ended = endings::end(conn, which, &recorder.cause(conn.now(), reason)).await?;
    record(conn, recorder, which, &ended, reason).await?;
    Ok(ended)
}

async fn record(
    conn: &mut Conn,
    recorder: &Recorder,
    which: Which,
    ended: &Ended,
    reason: RevokedReason,
) -> store::Result<()> {
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
        recorder
            .record(
                conn,
                kind,
                Some(*user),
                Some(*session),
                detail([why.clone()]),
            )
            .await?;
        for (session, user) in acted {
            recorder
                .record(
                    conn,
                    Kind::SessionRevoked,
                    Some(*user),
                    Some(*session),
                    detail([why.clone()]),
                )
                .await?;
        }
        return Ok(());
    }
    if let ([(session, user)], true) = (ended.marked.as_slice(), ended.complete) {
        return recorder
            .record(conn, kind, Some(*user), Some(*session), detail([why]))
            .await;
    }
    let (subject, whose) = match which {
        Which::One(_) => (None, "one"),
        Which::OfUser { user, .. } => (Some(user), "user"),
        Which::ActedBy(user) => (Some(user), "acting"),
        Which::Everybody => (None, "everybody"),
    };
    // Of very many only the first are counted here.
    let count = ("sessions", ended.marked.len().into());
    recorder
        .record(
            conn,
            kind,
            subject,
            None,
            detail([
                why,
                ("of", whose.into()),
                count,
                ("more", (!ended.complete).into()),
            ]),
        )
        .await
}

/// How many sessions a sign-in ends at most to make room for its own.
const ROOM: i64 = 100;

/// Ends the least recently used sessions of a user who has more than `sessions.max_per_user`; in
/// the transaction that opens `new`. With `acted` those in which this user acts as another one.
pub async fn make_room(
    conn: &mut Conn,
    recorder: &Recorder,
    user: UserId,
    acted: bool,
    new: SessionId,
) -> store::Result<()> {
    let old =
        store::session::old_sessions::too_many(conn, user, acted, new, recorder.max_sessions, ROOM)
            .await?;
    let mut ended = Ended {
        complete: true,
        ..Ended::default()
    };
    for id in old {
        ended.marked.extend(
            endings::end(
                conn,
                Which::One(id),
                &recorder.cause(conn.now(), RevokedReason::TooMany),
            )
            .await?
            .marked,
        );
    }
    record(
        conn,
        recorder,
        Which::OfUser {
            user,
            except: Some(new),
        },
        &ended,
        RevokedReason::TooMany,
    )
    .await
}
