//! Refreshes: presents a refresh token and returns an access token and, unless the token is kept,
//! its successor. `model::session::refresh::decide` decides. This file carries its decision out as
//! one writer job: first a single statement, and only if that changed nothing a read of the row,
//! the decision and its compare-and-set.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::app::App;
use crate::flows::confirm_clock;
use crate::flows::key::current_keys;
use crate::flows::token::issue_token;
use crate::flows::token::issue_token::{Issued, TokenContext};
use crate::flows::transaction::{Committed, tx};
use crate::flows::{Error, Result};
use crate::metrics::REFRESH_TOKEN;
use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::time::Timestamp;
use crate::model::session::refresh::{Child, Decision};
use crate::model::session::session::Delivery;
use crate::model::token::target::Target;
use crate::store::WriteOptions;
use crate::store::session::refresh::Refreshed;

use super::credential;
use super::refresh_job::{Decided, Job};
use super::refresh_token::{Purpose, open};
use super::{acting, meets_policy, replay_alarm};

/// The result of a refresh.
pub struct Renewed {
    /// The new access token.
    pub access: Issued,
    /// The refresh token to use from now on; `None` if the client keeps the one that it has.
    pub refresh_token: Option<Zeroizing<String>>,
    /// The session as stored.
    pub session: Refreshed,
    /// The user of the session.
    pub user: Arc<User>,
    /// What may be done in the session.
    pub powers: Powers,
    /// Whether the idle end of the session has moved; then the session cookie is set again, too.
    pub rotated: bool,
}

impl Renewed {
    /// Returns the idle or absolute end of the session, whichever is earlier.
    pub fn ends_at(&self) -> Timestamp {
        self.session.ends_at()
    }
}

/// Refreshes, with an access token for `target`. A process that finds that it lacks the current master key decides nothing: it loads
/// the keys and tries once more.
pub async fn refresh(
    app: &App,
    text: &str,
    channel: Delivery,
    purpose: Purpose,
    target: &Target,
    requester: &Requester,
) -> Result<Renewed> {
    let attempt = || attempt(app, text, channel, purpose, target, requester);
    let outcome = current_keys::with_current_keys(app, attempt).await;
    if matches!(outcome, Err(Error::RefreshTokenExpired)) {
        confirm_clock::admit_expiry(app)?;
    }
    if let Err(error) = &outcome {
        app.metrics.refresh(match error {
            Error::RefreshTokenInvalid => "invalid",
            Error::RefreshTokenExpired => "expired",
            Error::RefreshTokenRevoked => "revoked",
            Error::RefreshTokenReused => "reused",
            Error::RefreshAttemptMissing => "ticket_missing",
            Error::RefreshUnderWay => "superseding",
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
    target: &Target,
    requester: &Requester,
) -> Result<Renewed> {
    let (token, ring) = open(app, text).await?;
    // Before the row changes: its new idle end would be in the future as well.
    confirm_clock::admit_issuing(app)?;
    let presented = token.presented(&ring.masters);
    let job = Job::new(app, &token, presented, &ring, channel, purpose);
    let hash = token.hash();
    let decided = app
        .transaction_with(
            WriteOptions::STATEMENT,
            requester,
            tx!(tx => job.run(tx).await),
        )
        .await?;
    let (decision, session) = match decided {
        Decided::GoesOn(decision, session) => (decision, session),
        Decided::Ended(Committed(error)) => return Err(error),
    };
    if matches!(
        decision,
        Decision::Keep | Decision::Repeat(_) | Decision::Resume(_)
    ) && app.config.rate_limits.enabled
    {
        app.refresh_pace.check(&hash).map_err(|wait| {
            app.metrics.limited(REFRESH_TOKEN);
            Error::TooManyRequests(wait)
        })?;
    }
    replay_alarm::watch(app, &session, decision, requester).await?;
    let child = match decision {
        Decision::Rotate => token.successor(&ring.masters),
        Decision::Repeat(child) | Decision::Resume(child) => token.child(child, &ring.masters),
        Decision::Supersede => token.child(Child { key: 0, late: true }, &ring.masters),
        // These answers never carry a refresh token: if they arrive late, an older token would get
        // into the cookie jar.
        Decision::Keep
        | Decision::Heal
        | Decision::Refuse(_)
        | Decision::TicketMissing
        | Decision::Superseding
        | Decision::Ahead
        | Decision::Wait
        | Decision::Reuse => None,
    };
    let user = issue_token::user_facts(app, session.user, session.user_version).await?;
    let ends_at = session.ends_at();
    let facts = meets_policy::Facts {
        proofs: &session.proofs,
        idle: session.idle,
        expires_at: session.state.expires_at,
    };
    if !meets_policy::holds(app, &user, &facts) {
        meets_policy::end_below(app, session.session, requester).await?;
        return Err(Error::RefreshTokenRevoked);
    }
    let Some(powers) = acting::powers(app, &user, session.impersonated_by).await? else {
        acting::end_unallowed(app, session.session, requester).await?;
        return Err(Error::RefreshTokenRevoked);
    };
    let grounds = TokenContext {
        session: session.session,
        proofs: session.proofs,
        auth_time: session.auth_time,
        ends_at,
        ring_id: session.ring_id,
    };
    let access = issue_token::issue(app, &user, &powers, &grounds, target).await?;
    app.metrics.refresh(decision.as_str());
    let refresh_token = child.map(|c| c.encode(&ring.masters));
    Ok(Renewed {
        access,
        refresh_token,
        session,
        user,
        powers,
        rotated: matches!(decision, Decision::Rotate | Decision::Resume(_)),
    })
}

/// Returns the session cookie of the request, signed again, if it belongs to this session and the
/// token rotated.
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
