//! The extractor is the guard: a handler that needs a user takes `Authenticated` and cannot forget
//! the check. A Bearer credential wins over a cookie; two `Authorization` headers are none.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::app::App;
use crate::flows::login::known_device::{Device, LIFETIME};
use crate::flows::ops::confirm_clock;
use crate::flows::session::read_session;
use crate::flows::session::read_session::{Accepts, AuthFailure, Credential};
use crate::flows::session::{carried, session_cache};
use crate::model::audit::event::Peer;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::End;

use super::client::Client;
use super::cookies;
use super::cookies::{Clear, Name};
use super::error::Error;

/// Every credential that a request carries, not yet looked at.
#[derive(Debug, Default)]
pub(in crate::http) struct Credentials {
    /// After `Bearer`.
    pub(in crate::http) bearer: Option<String>,
    /// Session cookies; `flows::session::carried` says which one counts.
    pub(in crate::http) session_cookies: Vec<String>,
    /// Cookie caches; the one of the session cookie counts.
    pub(in crate::http) cached_sessions: Vec<String>,
    /// Tokens of devices; one that is known at the account counts.
    pub(in crate::http) devices: Vec<String>,
    /// Refresh cookies; `flows::session::carried` says which one counts.
    pub(in crate::http) refresh_cookies: Vec<String>,
    /// Sessions of an admin who acts as another user, set aside.
    pub(in crate::http) admin_sessions: Vec<String>,
    /// Whether the cookies of the session end with the browser.
    pub(in crate::http) ends_with_browser: bool,
    /// Whether an `Authorization` header came that is none of ours to read: not `Bearer`, twice, or
    /// without a token. Of a proxy's `Basic` nothing is said.
    pub(in crate::http) unreadable: bool,
    /// Whether a browser sent the request, signed in or not. A cookie of another program says
    /// nothing: native clients have those too.
    pub(in crate::http) from_browser: bool,
}

impl FromRequestParts<Arc<App>> for Credentials {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let bearer = bearer(&parts.headers);
        let is_basic = |value: &HeaderValue| {
            value
                .as_bytes()
                .get(..6)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
        };
        let sent_by_pages = [header::ORIGIN, HeaderName::from_static("sec-fetch-site")]
            .iter()
            .any(|name| parts.headers.contains_key(name));
        Ok(Self {
            unreadable: bearer.is_none()
                && parts
                    .headers
                    .get_all(header::AUTHORIZATION)
                    .iter()
                    .any(|value| !is_basic(value)),
            bearer,
            session_cookies: cookies::read(app, &parts.headers, Name::Session),
            cached_sessions: cookies::read(app, &parts.headers, Name::SessionData),
            devices: cookies::read(app, &parts.headers, Name::Device),
            refresh_cookies: cookies::read(app, &parts.headers, Name::Refresh),
            admin_sessions: cookies::read(app, &parts.headers, Name::AdminSession),
            ends_with_browser: !cookies::read(app, &parts.headers, Name::DontRemember).is_empty(),
            from_browser: sent_by_pages || cookies::carries_any(app, &parts.headers),
        })
    }
}

/// RFC 6750 section 2.1: the scheme in any case, one space, one header. Percent-encoded signatures
/// are decoded.
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
    /// How long a new token of a known device stays in this browser: as long as the one that it
    /// replaces, until the browser closes where there was none.
    pub(in crate::http) fn device_stays_until(&self, app: &App, user: UserId) -> Option<Timestamp> {
        let had = self
            .devices
            .iter()
            .any(|token| Device::open(app, token).is_some_and(|device| device.user() == user));
        (had && !self.ends_with_browser).then(|| app.now() + LIFETIME)
    }

    /// What the cookie cache says of the session whose cookie came; a Bearer has none. Which of
    /// several sessions lives only the database can tell.
    pub(in crate::http) fn cached_session(&self, app: &App) -> Option<serde_json::Value> {
        let signed = carried::signed(app, &self.session_cookies);
        let ([(_, session)], None) = (signed.as_slice(), &self.bearer) else {
            return None;
        };
        self.cached_sessions
            .iter()
            .find_map(|cached| session_cache::open(app, session, cached))
    }

    /// Who is asking, or why the credential is refused; `None`: no credential came that counts. A
    /// Bearer wins; one that is none of ours is ignored if there is a cookie.
    pub(in crate::http) async fn authenticate(
        &self,
        app: &App,
        accepts: Accepts,
    ) -> Result<Option<Result<read_session::Authenticated, AuthFailure>>, Error> {
        let by_bearer = match self.bearer.as_deref() {
            Some(bearer) => {
                Some(read_session::authenticate(app, Credential::Bearer(bearer), accepts).await?)
            }
            None => None,
        };
        if !matches!(by_bearer, None | Some(Err(AuthFailure::Unrecognised))) {
            return Ok(by_bearer);
        }
        match carried::session_cookie(app, &self.session_cookies).await? {
            Some(cookie) => Ok(Some(
                read_session::authenticate(app, Credential::Cookie(cookie), accepts).await?,
            )),
            None => Ok(by_bearer),
        }
    }
}

/// A session token came, and its session lives.
pub(in crate::http) struct Authenticated(pub(in crate::http) read_session::Authenticated);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let credentials = Credentials::from_request_parts(parts, app)
            .await
            .unwrap_or_default();
        match credentials
            .authenticate(app, Accepts::SessionTokenOnly)
            .await?
        {
            Some(Ok(who)) => Ok(Self(who)),
            Some(Err(AuthFailure::Unrecognised)) => Err(Error::InvalidToken),
            Some(Err(AuthFailure::SessionEnded(end))) => Err(over(app, end)),
            None => Err(crate::flows::Error::Unauthorized.into()),
        }
    }
}

/// A user who is signed in and does something: the audit trail names the one who acts, also in
/// another one's name.
pub(in crate::http) struct Acting {
    pub(in crate::http) who: read_session::Authenticated,
    pub(in crate::http) peer: Peer,
}

impl FromRequestParts<Arc<App>> for Acting {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let Authenticated(who) = Authenticated::from_request_parts(parts, app).await?;
        let Ok(Client(peer)) = Client::from_request_parts(parts, app).await;
        let actor = who.session.impersonated_by.unwrap_or(who.user.id);
        Ok(Self {
            who,
            peer: Peer {
                actor: format!("user:{actor}"),
                ..peer
            },
        })
    }
}

/// The refusal for a session that is over.
pub(in crate::http) fn over(app: &App, end: End) -> Error {
    let mut clearing = HeaderMap::new();
    clear_over(app, &mut clearing, end);
    Error::SessionOver { end, clearing }
}

/// Whether the clock of this machine allows to clear the cookies of a session that ended so. Where
/// it may be ahead, a session that is over by its time may live, and a browser has its cookies only
/// once.
pub(in crate::http) fn is_certain(app: &App, end: End) -> bool {
    end != End::Expired || !confirm_clock::may_be_ahead(app)
}

/// Clears the cookies of a session that is over, unless a newer session of the same browser has
/// them by now, or the clock may be wrong about its end.
pub(in crate::http) fn clear_over(app: &App, headers: &mut HeaderMap, end: End) {
    if end.clears() && is_certain(app, end) {
        cookies::clear(app, headers, Clear::Session);
    }
}
