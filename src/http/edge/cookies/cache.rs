//! The lines that set or clear the cookie cache of an answer.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::app::App;

use super::{Name, clear_one};

/// After a change the cookie cache may be wrong: it goes, unless this answer brought or cleared it
/// already.
pub(in crate::http) fn forget_cache(app: &App, headers: &mut HeaderMap) {
    let own = format!("{}=", Name::SessionData.text(app));
    let told = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .any(|line| line.as_bytes().starts_with(own.as_bytes()));
    if !told {
        clear_one(app, headers, Name::SessionData);
    }
}

/// These headers without the cookie cache, if they set one; with a line that clears an older one
/// where the browser `had` it.
pub(in crate::http) fn without_cache(
    app: &App,
    headers: &HeaderMap,
    had: bool,
) -> Option<HeaderMap> {
    let own = format!("{}=", Name::SessionData.text(app));
    let sets = |line: &&HeaderValue| line.as_bytes().starts_with(own.as_bytes());
    if !headers
        .get_all(header::SET_COOKIE)
        .iter()
        .any(|line| sets(&line))
    {
        return None;
    }
    let mut slim = headers.clone();
    slim.remove(header::SET_COOKIE);
    for line in headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter(|line| !sets(line))
    {
        slim.append(header::SET_COOKIE, line.clone());
    }
    if had {
        clear_one(app, &mut slim, Name::SessionData);
    }
    Some(slim)
}
