//! The cookie cache: the answer of `/get-session`, signed, in a cookie beside the session cookie.
//! It is valid for that session alone and for a few minutes; it saves a database read and cannot be
//! exchanged for tokens. Its content may be outdated by that much, so it is off by default.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::crypto;
use crate::crypto::cookie::{self, Purpose};
use crate::crypto::token::SessionToken;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Session;

use super::credential::cookie_token;

/// Browsers drop cookies of more than 4,096 bytes, including name and attributes; a longer answer
/// is not cached.
const LONGEST: usize = 3_800;

#[derive(Serialize, Deserialize)]
struct Cached {
    /// The hash of the session's token.
    of: String,
    /// End of validity in Unix milliseconds, exclusive.
    until: i64,
    answer: Value,
}

fn hash(token: &SessionToken) -> String {
    crypto::encode(&token.hash())
}

/// Returns the cookie's value and its end. Returns `None` if the cache is off, if the answer is too
/// long, or for an impersonation session, because whether that is still allowed is checked at each
/// request.
pub fn seal(
    app: &App,
    session: &Session,
    token: &SessionToken,
    ends_at: Timestamp,
    answer: &Value,
) -> Option<(String, Timestamp)> {
    let life = app.config.sessions.cookie_cache;
    if life.is_zero() || session.impersonated_by.is_some() {
        return None;
    }
    let until = ends_at.min(app.now() + life);
    let cached = Cached {
        of: hash(token),
        until: until.0,
        answer: answer.clone(),
    };
    let text = crypto::encode(&serde_json::to_vec(&cached).ok()?);
    let ring = app.ring()?;
    Some((
        cookie::sign(Purpose::SessionData, &text, &ring.masters),
        until,
    ))
    .filter(|(value, _)| value.len() <= LONGEST)
}

/// Returns the answer in a cookie if it belongs to the session of the signed session cookie and has
/// not expired.
pub fn open(app: &App, session: &str, cached: &str) -> Option<Value> {
    if app.config.sessions.cookie_cache.is_zero() {
        return None;
    }
    let token = cookie_token(app, session)?;
    let ring = app.ring()?;
    let text = cookie::open(Purpose::SessionData, cached, &ring.masters)?;
    let cached: Cached = serde_json::from_slice(&crypto::decode(text)?).ok()?;
    let in_time = app.now() < Timestamp(cached.until)
        && Timestamp(cached.until) <= app.now() + app.config.sessions.cookie_cache;
    (in_time && cached.of == hash(&token)).then_some(cached.answer)
}
