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
use crate::model::audit::event::Peer;
use crate::model::kernel::time::Timestamp;
use crate::model::session::refresh::{Child, Decision};
use crate::model::session::session::Delivery;
use crate::store::WriteOptions;
use crate::store::session::refresh::Refreshed;

use super::credential;
use super::refresh_job::{Decided, Job};
use super::{impersonate, replay_alarm};
use crate::flows::key::{inspect_keys, load_keys};
use crate::flows::ops::confirm_clock;
use crate::flows::token::issue_token;
use crate::flows::token::issue_token::{Issued, TokenContext};
use crate::flows::transaction::{Committed, tx};
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
        credential::cookie_token(app, signed)
            .filter(|token| token.hash() == renewed.session.token_hash)
    };
    let token = cookies.iter().find_map(own).filter(|_| renewed.rotated)?;
    credential::signed_cookie(app, &token)
}
