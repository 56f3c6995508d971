//! Authenticates a request: from a session cookie, a session token as Bearer, or an access token,
//! to a live session and its user. The row decides every time: a revoked session is refused at
//! once, whatever its tokens say.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::flows::authenticated::Authenticated;
use crate::flows::confirm_clock;
use crate::flows::key::load_keys;
use crate::flows::token::issue_token;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::time::Timestamp;
use crate::model::login::policies::Bounds;
use crate::model::session::session::{End, FORGETFUL_LIFETIME};
use crate::store::session::sessions::{By, Found};
use crate::store::{self, WriteOptions, work};

use super::acting;
use super::credential::{is_jwt, session_of_access_token, session_token, signed_cookie};
use super::meets_policy::{self, Facts};

/// The credential of a request.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'r> {
    /// The value of a session cookie, with its signature.
    Cookie(&'r str),
    /// The token of `Authorization: Bearer`: a session token, bare or signed.
    Bearer(&'r str),
}

/// Whether an access token is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// Access tokens are accepted, too; for `/session`.
    AccessTokenToo,
    /// Only session tokens are accepted; for all other paths, because access tokens can neither
    /// mint nor change anything.
    SessionTokenOnly,
}

/// The reason why a request is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFailure {
    /// The credential was not made by this service; cookies are left alone.
    Unrecognised,
    /// The credential is valid, and its session has ended. Cookies may be cleared, unless a newer
    /// session of the same browser has replaced it.
    SessionEnded(End),
}

/// Finds the session; the inner error says why there is none.
pub async fn authenticate(
    app: &App,
    credential: Credential<'_>,
    accepts: Accepts,
) -> Result<std::result::Result<Authenticated, AuthFailure>> {
    match find(app, credential, accepts).await {
        Ok(found) => Ok(Ok(found)),
        Err(stopped) => stopped.into_failure().map(Err),
    }
}

/// The reason why there is no session in force.
enum Stopped {
    /// The credential is the reason.
    Failure(AuthFailure),
    /// An error prevented finding out.
    Error(Error),
}

impl Stopped {
    fn into_failure(self) -> Result<AuthFailure> {
        match self {
            Self::Failure(failure) => Ok(failure),
            Self::Error(error) => Err(error),
        }
    }
}

impl<E: Into<Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

async fn find(
    app: &App,
    credential: Credential<'_>,
    accepts: Accepts,
) -> std::result::Result<Authenticated, Stopped> {
    let now = app.now();
    let (by, token, subject) = match credential {
        Credential::Bearer(text) if accepts == Accepts::AccessTokenToo && is_jwt(text) => {
            match session_of_access_token(app, text, now) {
                Some((id, subject)) => (By::Id(id), None, Some(subject)),
                None => return Err(Stopped::Failure(AuthFailure::Unrecognised)),
            }
        }
        Credential::Bearer(text) | Credential::Cookie(text) => match session_token(app, text) {
            // The value of a cookie is always signed: a bare token is only accepted as Bearer.
            Some(token) if matches!(credential, Credential::Bearer(_)) || text.contains('.') => {
                (By::TokenHash(token.hash()), Some(token), None)
            }
            Some(_) | None => return Err(Stopped::Failure(AuthFailure::Unrecognised)),
        },
    };
    let found = app
        .db
        .read(work!(conn => store::session::sessions::find_live(conn, &by, now).await))
        .await?;
    let Some(found) = found else {
        let end = app
            .db
            .read(work!(conn => store::session::ended::end_of(conn, &by, now).await))
            .await?;
        let end = end.unwrap_or(End::Unknown);
        if end == End::Expired {
            confirm_clock::admit_expiry(app)?;
        }
        return Err(Stopped::Failure(AuthFailure::SessionEnded(end)));
    };
    if subject.is_some_and(|subject| subject != found.session.user_id) {
        return Err(Stopped::Failure(AuthFailure::Unrecognised));
    }
    let user = issue_token::user_facts(app, found.session.user_id, found.user_version).await?;
    if user.disabled_at.is_some() || user.is_banned(now) {
        return Err(Stopped::Failure(AuthFailure::SessionEnded(End::Revoked)));
    }
    let facts = Facts {
        proofs: &found.session.proofs,
        idle: found.session.idle,
        expires_at: found.session.expires_at,
    };
    if !meets_policy::holds(app, &user, &facts) {
        meets_policy::end_below(app, found.session.id, &Requester::named("service")).await?;
        return Err(Stopped::Failure(AuthFailure::SessionEnded(End::Revoked)));
    }
    let Some(powers) = acting::powers(app, &user, found.session.impersonated_by).await? else {
        acting::end_unallowed(app, found.session.id, &Requester::named("service")).await?;
        return Err(Stopped::Failure(AuthFailure::SessionEnded(End::Revoked)));
    };
    if app.ring().is_some_and(|ring| ring.id != found.ring_id) {
        load_keys::follow(app, Some(found.ring_id)).await?;
    }
    let by_cookie = matches!(credential, Credential::Cookie(_));
    Ok(Authenticated {
        by_cookie,
        ..slide(app, found, (user, powers), token, now).await?
    })
}

/// Extends the idle end of a session whose token is used, at most once in `sessions.update_age`.
async fn slide(
    app: &App,
    found: Found,
    (user, powers): (Arc<User>, Powers),
    token: Option<SessionToken>,
    now: Timestamp,
) -> Result<Authenticated> {
    let Found {
        mut session,
        generation,
        mut idle_expires_at,
        ring_id,
        ..
    } = found;
    let own = Bounds::of_idle(session.idle);
    let lifetime = app.config.sessions.lifetime.within(own);
    let mut renewed_cookie = None;
    if let Some(token) = token
        .as_ref()
        .filter(|_| session.remember || lifetime.idle < FORGETFUL_LIFETIME)
        .filter(|_| now >= session.updated_at + lifetime.update_age)
    {
        let (id, absolute_end) = (session.id, session.expires_at);
        let slide = tx!(tx => {
            let now = tx.now();
            let end = lifetime.idle_end(now, absolute_end);
            store::session::sessions::slide(tx.conn, id, end, now).await?;
            Ok((now, end))
        });
        (session.updated_at, idle_expires_at) = app
            .transaction_with(WriteOptions::STATEMENT, &Requester::named("service"), slide)
            .await?;
        // A cookie that ends with the browser has no end that moves.
        if session.remember {
            renewed_cookie = signed_cookie(app, token);
        }
    }
    Ok(Authenticated {
        session,
        user,
        powers,
        generation,
        idle_expires_at,
        ring_id,
        session_token: token,
        by_cookie: false,
        renewed_cookie,
    })
}

impl From<AuthFailure> for Error {
    fn from(failure: AuthFailure) -> Self {
        match failure {
            AuthFailure::Unrecognised | AuthFailure::SessionEnded(_) => Self::Unauthorized,
        }
    }
}
