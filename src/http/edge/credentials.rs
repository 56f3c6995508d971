//! Extractors of credentials. A handler that needs a user takes `Authenticated`, so the check
//! cannot be forgotten. A Bearer credential takes precedence over a cookie; two `Authorization`
//! headers count as none.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::app::App;
use crate::flows::authenticated;
use crate::flows::confirm_clock;
use crate::flows::limit::known_device::{Device, LIFETIME};
use crate::flows::session::read_session;
use crate::flows::session::read_session::{Accepts, AuthFailure, Credential};
use crate::flows::session::{carried, session_cache};
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::End;

use super::client::Client;
use super::cookies;
use super::cookies::{Clear, Name};
use super::error::Error;

/// Every credential of a request, not validated yet.
#[derive(Debug, Default)]
pub(in crate::http) struct Credentials {
    /// The token after `Bearer`.
    pub(in crate::http) bearer: Option<String>,
    /// Session cookies; `flows::session::carried` decides which one counts.
    pub(in crate::http) session_cookies: Vec<String>,
    /// Cookie caches; the one of the session cookie counts.
    pub(in crate::http) cached_sessions: Vec<String>,
    /// Device tokens; one that is known at the account counts.
    pub(in crate::http) devices: Vec<String>,
    /// Secrets of sign-ins that wait for their second step.
    pub(in crate::http) challenges: Vec<String>,
    /// Tokens of a browser that needs no second step for a time.
    pub(in crate::http) remembered: Vec<String>,
    /// Bindings of codes that this browser has asked for.
    pub(in crate::http) codes: Vec<String>,
    /// Sealed states of ceremonies with passkeys.
    pub(in crate::http) ceremonies: Vec<String>,
    /// Refresh cookies; `flows::session::carried` decides which one counts.
    pub(in crate::http) refresh_cookies: Vec<String>,
    /// Cookies with an admin's own session, set aside during an impersonation.
    pub(in crate::http) admin_sessions: Vec<String>,
    /// Whether the cookies of the session end with the browser.
    pub(in crate::http) ends_with_browser: bool,
    /// Whether there is an `Authorization` header that cannot be read: a wrong scheme, two headers,
    /// or no token. A proxy's `Basic` does not count.
    pub(in crate::http) unreadable: bool,
    /// Whether a browser sent the request, signed in or not. Cookies of other programs do not
    /// count, because native clients may have those, too.
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
            challenges: cookies::read(app, &parts.headers, Name::Challenge),
            remembered: cookies::read(app, &parts.headers, Name::Remembered),
            codes: cookies::read(app, &parts.headers, Name::Code),
            ceremonies: cookies::read(app, &parts.headers, Name::Ceremony),
            refresh_cookies: cookies::read(app, &parts.headers, Name::Refresh),
            admin_sessions: cookies::read(app, &parts.headers, Name::AdminSession),
            ends_with_browser: !cookies::read(app, &parts.headers, Name::DontRemember).is_empty(),
            from_browser: sent_by_pages || cookies::carries_any(app, &parts.headers),
        })
    }
}

/// Returns the Bearer token (RFC 6750 section 2.1: the scheme in any case, one space, one header).
/// Percent-encoded signatures are decoded.
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
    // `token.sig` may be encoded as in the cookie.
    let decoded = cookie::Cookie::parse_encoded(format!("t={token}")).ok()?;
    Some(decoded.value().to_owned())
}

impl Credentials {
    /// Returns how long a new device token stays in this browser: as long as the one that it
    /// replaces, or until the browser is closed if there was none.
    pub(in crate::http) fn device_stays_until(&self, app: &App, user: UserId) -> Option<Timestamp> {
        let had = self
            .devices
            .iter()
            .any(|token| Device::open(app, token).is_some_and(|device| device.user() == user));
        (had && !self.ends_with_browser).then(|| app.now() + LIFETIME)
    }

    /// Returns the content of the cookie cache for the session of the cookie; a Bearer has none.
    /// With several session cookies only the database can tell which session is live.
    pub(in crate::http) fn cached_session(&self, app: &App) -> Option<serde_json::Value> {
        let signed = carried::signed(app, &self.session_cookies);
        let ([(_, session)], None) = (signed.as_slice(), &self.bearer) else {
            return None;
        };
        self.cached_sessions
            .iter()
            .find_map(|cached| session_cache::open(app, session, cached))
    }

    /// Authenticates the request, or says why the credential is refused; `None` if no credential
    /// counts. A Bearer takes precedence; one that this service did not make is ignored if there is
    /// a cookie.
    pub(in crate::http) async fn authenticate(
        &self,
        app: &App,
        accepts: Accepts,
    ) -> Result<Option<Result<authenticated::Authenticated, AuthFailure>>, Error> {
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

/// A live session whose session token was sent.
pub(in crate::http) struct Authenticated(pub(in crate::http) authenticated::Authenticated);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let credentials = Credentials::from_request_parts(parts, app)
            .await
            .unwrap_or_default();
        let who = credentials
            .authenticate(app, Accepts::SessionTokenOnly)
            .await?;
        required(app, who).map(Self)
    }
}

/// Returns the session that a request needs.
///
/// # Errors
/// 401, with the lines that clear the cookies of a session that has ended.
pub(in crate::http) fn required(
    app: &App,
    who: Option<Result<authenticated::Authenticated, AuthFailure>>,
) -> Result<authenticated::Authenticated, Error> {
    match who {
        Some(Ok(who)) => Ok(who),
        Some(Err(AuthFailure::Unrecognised)) => Err(Error::InvalidToken),
        Some(Err(AuthFailure::SessionEnded(end))) => Err(over(app, end)),
        None => Err(crate::flows::Error::Unauthorized.into()),
    }
}

/// The signed-in user as the actor of a change: the audit trail names the acting admin during an
/// impersonation.
pub(in crate::http) struct Acting {
    pub(in crate::http) who: authenticated::Authenticated,
    pub(in crate::http) requester: Requester,
}

impl Acting {
    /// Makes the actor of a session that was authenticated before.
    pub(in crate::http) fn of(who: authenticated::Authenticated, requester: Requester) -> Self {
        let actor = who.session.impersonated_by.unwrap_or(who.user.id);
        Self {
            who,
            requester: Requester {
                actor: format!("user:{actor}"),
                ..requester
            },
        }
    }
}

impl FromRequestParts<Arc<App>> for Acting {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let Authenticated(who) = Authenticated::from_request_parts(parts, app).await?;
        let Ok(Client(requester)) = Client::from_request_parts(parts, app).await;
        Ok(Self::of(who, requester))
    }
}

/// Returns the error for a session that has ended.
pub(in crate::http) fn over(app: &App, end: End) -> Error {
    let mut clearing = HeaderMap::new();
    clear_over(app, &mut clearing, end);
    Error::SessionOver { end, clearing }
}

/// Returns whether the clock permits clearing the cookies of a session that ended this way. If the
/// clock may be ahead, a session that has expired by it may still be live, and a browser cannot
/// restore cleared cookies.
pub(in crate::http) fn is_certain(app: &App, end: End) -> bool {
    end != End::Expired || !confirm_clock::may_be_ahead(app)
}

/// Clears the cookies of a session that has ended, unless they belong to a newer session of the
/// same browser by now, or the clock may be wrong about its end.
pub(in crate::http) fn clear_over(app: &App, headers: &mut HeaderMap, end: End) {
    if end.clears() && is_certain(app, end) {
        cookies::clear(app, headers, Clear::Session);
    }
}
