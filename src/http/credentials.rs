//! The extractor is the guard: a handler that needs a user takes `Authenticated` and cannot forget the check.
//! A Bearer credential wins over a cookie; two `Authorization` headers are none.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::app::App;
use crate::flows::read_session::{self, Accepts, Credential, Nobody};
use crate::flows::session_cache;
use crate::model::audit::Peer;

use super::client::Client;
use super::cookies::{self, Name};
use super::error::Error;

/// Every credential that a request carries, not yet looked at.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// After `Bearer`.
    pub(super) bearer: Option<String>,
    /// Session cookies; the first counts.
    pub(super) session_cookies: Vec<String>,
    /// Cookie caches; the first counts.
    pub(super) cached_sessions: Vec<String>,
    /// Tokens of devices; one that is known at the account counts.
    pub(super) devices: Vec<String>,
    /// Refresh cookies, all of one name.
    pub(super) refresh_cookies: Vec<String>,
}

impl FromRequestParts<Arc<App>> for Credentials {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        Ok(Self {
            bearer: bearer(&parts.headers),
            session_cookies: cookies::read(app, &parts.headers, Name::Session),
            cached_sessions: cookies::read(app, &parts.headers, Name::SessionData),
            devices: cookies::read(app, &parts.headers, Name::Device),
            refresh_cookies: cookies::read(app, &parts.headers, Name::Refresh),
        })
    }
}

/// RFC 6750 section 2.1: the scheme in any case, one space, one header. Percent-encoded signatures are decoded.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    let plain = !token.is_empty() && !token.contains(|c: char| c.is_whitespace());
    if !scheme.eq_ignore_ascii_case("bearer") || !plain {
        return None;
    }
    // `token.sig` may come as the cookie had it.
    let decoded = cookie::Cookie::parse_encoded(format!("t={token}")).ok()?;
    Some(decoded.value().to_owned())
}

impl Credentials {
    /// What the cookie cache says of the session whose cookie came; a Bearer has none.
    pub(super) fn cached_session(&self, app: &App) -> Option<serde_json::Value> {
        if self.bearer.is_some() {
            return None;
        }
        session_cache::open(app, self.session_cookie(app)?, self.cached_sessions.first()?)
    }

    /// The one session cookie. Two good ones are none: a sibling host may have planted one of its own session, and nobody can tell which.
    fn session_cookie(&self, app: &App) -> Option<&str> {
        let mut ours = self.session_cookies.iter().filter(|c| read_session::cookie_token(app, c).is_some());
        let Some(first) = ours.next() else { return self.session_cookies.first().map(String::as_str) };
        if ours.any(|other| other != first) { None } else { Some(first) }
    }

    /// Who is asking, or why nobody is; `None`: no credential came. A Bearer wins; one that is none of ours is ignored if there is a cookie.
    pub(super) async fn authenticate(&self, app: &App, accepts: Accepts) -> Result<Option<Result<read_session::Authenticated, Nobody>>, Error> {
        let cookie = self.session_cookie(app).map(Credential::Cookie);
        let (first, second) = match self.bearer.as_deref().map(Credential::Bearer) {
            Some(bearer) => (Some(bearer), cookie),
            None => (cookie, None),
        };
        let Some(first) = first else { return Ok(None) };
        let found = read_session::authenticate(app, first, accepts).await?;
        match (found, second) {
            (Err(Nobody::NotOurs), Some(second)) => Ok(Some(read_session::authenticate(app, second, accepts).await?)),
            (found, _) => Ok(Some(found)),
        }
    }
}

/// A session token came, and its session lives.
pub(super) struct Authenticated(pub(super) read_session::Authenticated);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let credentials = Credentials::from_request_parts(parts, app).await.unwrap_or_default();
        match credentials.authenticate(app, Accepts::SessionTokenOnly).await? {
            Some(Ok(who)) => Ok(Self(who)),
            Some(Err(Nobody::NotOurs)) => Err(Error::InvalidToken),
            Some(Err(Nobody::Over)) => Err(Error::SessionOver(over(app))),
            None => Err(crate::flows::Error::Unauthorized.into()),
        }
    }
}

/// A user who is signed in and does something: the audit trail names the one who acts, also in another one's name.
pub(super) struct Acting {
    pub(super) who: read_session::Authenticated,
    pub(super) peer: Peer,
}

impl FromRequestParts<Arc<App>> for Acting {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let Authenticated(who) = Authenticated::from_request_parts(parts, app).await?;
        let Ok(Client(peer)) = Client::from_request_parts(parts, app).await;
        let actor = who.session.impersonated_by.unwrap_or(who.user.id);
        Ok(Self { who, peer: Peer { actor: format!("user:{actor}"), ..peer } })
    }
}

/// The lines that clear the cookies of a session that is over.
pub(super) fn over(app: &App) -> HeaderMap {
    let mut headers = HeaderMap::new();
    cookies::clear(app, &mut headers, false);
    headers
}
