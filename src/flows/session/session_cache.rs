//! The cookie cache: the answer of `/get-session`, signed, in a cookie beside the session cookie.
//! Good for that session alone and for a few minutes; it spares the database a read and mints
//! nothing. What it says may be that much behind, so it is off unless the settings ask for it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::crypto::cookie::{self, Purpose};
use crate::crypto::token::SessionToken;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Session;

use super::credential::cookie_token;

/// A browser drops a cookie over 4,096 bytes, its name and attributes counted; an answer that is
/// longer is not cached.
const LONGEST: usize = 3_800;

#[derive(Serialize, Deserialize)]
struct Cached {
    /// The hash of the session's token.
    of: String,
    /// Milliseconds; worthless from then on.
    until: i64,
    answer: Value,
}

fn hash(token: &SessionToken) -> String {
    URL_SAFE_NO_PAD.encode(token.hash())
}

/// The cookie's value and its end; `None`: the cache is off, or the answer too long, or it is a
/// session in which one user acts as another: whether that is still allowed is asked at each
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
    let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cached).ok()?);
    let ring = app.ring()?;
    Some((
        cookie::sign(Purpose::SessionData, &text, &ring.masters),
        until,
    ))
    .filter(|(value, _)| value.len() <= LONGEST)
}

/// The answer that a cookie holds, if it is of the session whose signed cookie came with it and not
/// over.
pub fn open(app: &App, session: &str, cached: &str) -> Option<Value> {
    if app.config.sessions.cookie_cache.is_zero() {
        return None;
    }
    let token = cookie_token(app, session)?;
    let ring = app.ring()?;
    let text = cookie::open(Purpose::SessionData, cached, &ring.masters)?;
    let cached: Cached = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let in_time = app.now() < Timestamp(cached.until)
        && Timestamp(cached.until) <= app.now() + app.config.sessions.cookie_cache;
    (in_time && cached.of == hash(&token)).then_some(cached.answer)
}
