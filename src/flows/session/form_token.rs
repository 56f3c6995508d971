//! Binds a form to the session that it was shown to: a form that somebody else got is worth nothing
//! here (a signed double submit, as OWASP has it).

use crate::app::App;
use crate::crypto::cookie::Purpose;
use crate::model::kernel::id::SessionId;

use super::credential::{open, sign};

fn word(session: SessionId) -> String {
    format!("form:{session}")
}

/// What the form carries.
pub fn of(app: &App, session: SessionId) -> Option<String> {
    sign(app, Purpose::FormToken, &word(session))
}

/// Whether it is this session's.
pub fn is_good(app: &App, session: SessionId, token: &str) -> bool {
    open(app, Purpose::FormToken, token).is_some_and(|word_of| word_of == word(session))
}
