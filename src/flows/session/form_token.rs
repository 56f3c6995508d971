//! Binds a form to the session that it was shown to: a form that was issued to another session is
//! refused (a signed double submit as OWASP describes it).

use crate::app::App;
use crate::crypto::cookie::Purpose;
use crate::model::kernel::id::SessionId;

use super::credential::{open, sign};

fn word(session: SessionId) -> String {
    format!("form:{session}")
}

/// Returns the token of a form; `None` until the keys are loaded.
pub fn of(app: &App, session: SessionId) -> Option<String> {
    sign(app, Purpose::FormToken, &word(session))
}

/// Returns whether the token was made for this session.
pub fn is_good(app: &App, session: SessionId, token: &str) -> bool {
    open(app, Purpose::FormToken, token).is_some_and(|word_of| word_of == word(session))
}
