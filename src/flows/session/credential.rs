//! The content of credentials that this service made: session cookies and other signed values,
//! session tokens, access tokens. The database is not used.

use zeroize::Zeroizing;

use crate::app::App;
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
    cookie::open(Purpose::Session, signed, &ring.masters).and_then(SessionToken::parse)
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
