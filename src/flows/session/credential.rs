//! What stands in credentials that we made: session cookies and other signed values, session tokens,
//! access tokens. No database is asked.

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::cookie::{self, Purpose};
use crate::crypto::token::SessionToken;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::refresh::MAX_CLOCK_SKEW;

/// The session cookie's value for a token.
pub fn signed_cookie(app: &App, token: &SessionToken) -> Option<Zeroizing<String>> {
    app.ring().map(|ring| {
        Zeroizing::new(cookie::sign(
            Purpose::Session,
            token.expose(),
            &ring.masters,
        ))
    })
}

/// A value, signed for this purpose.
pub(in crate::flows) fn sign(app: &App, purpose: Purpose, value: &str) -> Option<String> {
    app.ring()
        .map(|ring| cookie::sign(purpose, value, &ring.masters))
}

/// What a signed value holds, if we signed it for this purpose.
pub(in crate::flows) fn open(app: &App, purpose: Purpose, signed: &str) -> Option<String> {
    app.ring()
        .and_then(|ring| cookie::open(purpose, signed, &ring.masters).map(ToOwned::to_owned))
}

/// A session token, bare or signed.
pub(in crate::flows) fn session_token(app: &App, text: &str) -> Option<SessionToken> {
    let ring = app.ring()?;
    SessionToken::parse(text).or_else(|| {
        cookie::open(Purpose::Session, text, &ring.masters).and_then(SessionToken::parse)
    })
}

/// The session that a cookie's signature vouches for; no database is asked.
pub fn cookie_token(app: &App, signed: &str) -> Option<SessionToken> {
    let ring = app.ring()?;
    cookie::open(Purpose::Session, signed, &ring.masters).and_then(SessionToken::parse)
}

pub(in crate::flows) fn is_jwt(text: &str) -> bool {
    text.bytes().filter(|b| *b == b'.').count() == 2
}

/// The session and the user of an access token that is good now.
pub(in crate::flows) fn session_of_access_token(
    app: &App,
    text: &str,
    now: Timestamp,
) -> Option<(SessionId, UserId)> {
    let claims = app.ring()?.verifier.verify(text).ok()?;
    let now = u64::try_from(now.seconds()).ok()?;
    // Another replica's clock may be ahead of ours by as much as replicas may differ.
    let in_time = claims.iat <= now.checked_add(MAX_CLOCK_SKEW.as_secs())?
        && now < claims.exp
        && claims.exp <= now.checked_add(86_400)?;
    if in_time {
        claims.sid.parse().ok().zip(claims.sub.parse().ok())
    } else {
        None
    }
}
