//! The content of credentials that this service made: session cookies and other signed values,
//! session tokens, access tokens. The database is not used.

use zeroize::Zeroizing;

use crate::app::{App, Turn};
use crate::crypto::cookie::{self, Purpose};
use crate::crypto::token::SessionToken;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::refresh::MAX_CLOCK_SKEW;

/// Returns the value of the session cookie for a token.
pub fn signed_cookie(app: &App, token: &SessionToken) -> Option<Zeroizing<String>> {
    app.ring().map(|ring| {
        Zeroizing::new(cookie::sign(
            Purpose::Session,
            token.expose(),
            &ring.masters,
        ))
    })
}

/// Signs a value for this purpose.
pub(in crate::flows) fn sign(app: &App, purpose: Purpose, value: &str) -> Option<String> {
    app.ring()
        .map(|ring| cookie::sign(purpose, value, &ring.masters))
}

/// Returns the content of a signed value if it was signed for this purpose.
pub(in crate::flows) fn open(app: &App, purpose: Purpose, signed: &str) -> Option<String> {
    app.ring()
        .and_then(|ring| cookie::open(purpose, signed, &ring.masters).map(ToOwned::to_owned))
}

/// Parses a session token, bare or signed.
pub(in crate::flows) fn session_token(app: &App, text: &str) -> Option<SessionToken> {
    let ring = app.ring()?;
    SessionToken::parse(text).or_else(|| {
        cookie::open(Purpose::Session, text, &ring.masters).and_then(SessionToken::parse)
    })
}

/// Returns the session token of a cookie if its signature is valid; the database is not used.
pub fn cookie_token(app: &App, signed: &str) -> Option<SessionToken> {
    let ring = app.ring()?;
    let token = cookie::open(Purpose::Session, signed, &ring.masters).and_then(SessionToken::parse);
    if token.is_none() {
        notice_foreign(app, signed);
    }
    token
}

/// Logs, at most once a minute, a session cookie that another service of this kind has signed:
/// browsers send cookies to every port of a host, so two services that use the same names sign each
/// other's users out, and nothing else shows why.
fn notice_foreign(app: &App, signed: &str) {
    let is_ours_in_form = signed
        .rsplit_once('.')
        .is_some_and(|(value, _)| SessionToken::parse(value).is_some());
    if is_ours_in_form && app.foreign_cookies.turn("session", app.uptime()) == Turn::Log {
        tracing::warn!(
            setting = "sessions.cookie_prefix",
            in_force = %app.config.sessions.cookie_prefix,
            "a browser has sent a session cookie that this service has not signed: another service on the same host name uses the same cookie names (give each a sessions.cookie_prefix of its own), or the master key was replaced"
        );
    }
}

pub(in crate::flows) fn is_jwt(text: &str) -> bool {
    text.bytes().filter(|b| *b == b'.').count() == 2
}

/// Returns the session and the user of an access token that is valid now.
pub(in crate::flows) fn session_of_access_token(
    app: &App,
    text: &str,
    now: Timestamp,
) -> Option<(SessionId, UserId)> {
    let claims = app.ring()?.verifier.verify(text).ok()?;
    let now = u64::try_from(now.seconds()).ok()?;
    // Another replica's clock may be ahead of this one, up to the tolerated difference.
    let in_time = claims.iat <= now.checked_add(MAX_CLOCK_SKEW.as_secs())?
        && now < claims.exp
        && claims.exp <= now.checked_add(86_400)?;
    if in_time {
        claims.sid.parse().ok().zip(claims.sub.parse().ok())
    } else {
        None
    }
}
