//! Who is asking? From a session cookie, a session token as Bearer, or an access token, to a live
//! session and its user. The row decides, every time: a revoked session is refused at once,
//! whatever its tokens say.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::account::action::Action;
use crate::model::account::permission::Powers;
use crate::model::account::user::User;
use crate::model::audit::event::Peer;
use crate::model::kernel::time::Timestamp;
use crate::model::key::ring_id::RingId;
use crate::model::session::session::{End, Session};
use crate::store::session::sessions::{By, Found};
use crate::store::{self, WriteOptions, work};

use super::credential::{is_jwt, session_of_access_token, session_token, signed_cookie};
use super::impersonate;
use crate::flows::key::load_keys;
use crate::flows::ops::confirm_clock;
use crate::flows::token::issue_token;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// What came with the request.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'r> {
    /// The value of a session cookie, still signed.
    Cookie(&'r str),
    /// `Authorization: Bearer`: a session token, bare or signed.
    Bearer(&'r str),
}

/// Whether an access token will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// `/session`
    AccessTokenToo,
    /// Everywhere else: access tokens mint and change nothing.
    SessionTokenOnly,
}

/// A live session.
#[derive(Clone)]
pub struct Authenticated {
    /// The session.
    pub session: Session,
    /// Its user.
    pub user: Arc<User>,
    /// What may be done in it, as of this request.
    pub powers: Powers,
    /// Past 1 it has refreshed.
    pub generation: u32,
    /// The end without use.
    pub idle_expires_at: Timestamp,
    /// The ring's version as the database told.
    pub ring_id: RingId,
    /// The session token, unless an access token came.
    pub session_token: Option<SessionToken>,
    /// Whether a cookie named the session: one that another host of the site may have planted.
    pub by_cookie: bool,
    /// A session cookie to issue anew: its sliding end has just been written.
    pub renewed_cookie: Option<Zeroizing<String>>,
}

impl Authenticated {
    /// Refuses a change where the password was proven too long ago: a laptop left open, a stolen
    /// cookie.
    pub(in crate::flows) fn fresh_for(&self, app: &App, action: Action) -> Result<()> {
        let stale = app
            .config
            .sessions
            .admin_fresh_for
            .is_some_and(|fresh| app.now().since(self.session.auth_time) >= fresh);
        if stale && !action.only_looks() {
            Err(Error::SessionNotFresh)
        } else {
            Ok(())
        }
    }
}

/// Why nobody is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFailure {
    /// The credential is not ours; cookies are left alone.
    Unrecognised,
    /// It is ours, and its session is over. Cookies may be cleared, unless a newer session of the
    /// same browser took its place.
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

/// Why there is no session in force.
enum Stopped {
    /// Because of the credential.
    Failure(AuthFailure),
    /// It could not be found out.
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
            // A cookie is always signed: the bare token is a Bearer credential only.
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
    let Some(powers) = impersonate::powers(app, &user, found.session.impersonated_by).await? else {
        impersonate::end_unallowed(app, found.session.id, &Peer::named("service")).await?;
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

/// Extends the sliding end of a session whose token is used, once in `sessions.update_age`.
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
    let lifetime = &app.config.sessions.lifetime;
    let mut renewed_cookie = None;
    if let Some(token) = token
        .as_ref()
        .filter(|_| session.remember && now >= session.updated_at + lifetime.update_age)
    {
        let (id, absolute_end, lifetime) = (session.id, session.expires_at, *lifetime);
        let slide = tx!(tx => {
            let now = tx.now();
            let end = lifetime.idle_end(now, absolute_end);
            store::session::sessions::slide(tx.conn, id, end, now).await?;
            Ok((now, end))
        });
        (session.updated_at, idle_expires_at) = app
            .transaction_with(WriteOptions::STATEMENT, &Peer::named("service"), slide)
            .await?;
        renewed_cookie = signed_cookie(app, token);
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
    fn from(nobody: AuthFailure) -> Self {
        match nobody {
            AuthFailure::Unrecognised | AuthFailure::SessionEnded(_) => Self::Unauthorized,
        }
    }
}
