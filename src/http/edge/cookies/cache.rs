//! Sets or clears the cookie cache in the headers of an answer.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::app::App;

use super::{Name, clear_one};

/// Clears the cookie cache after a change, because it may be outdated, unless this answer sets or
/// clears it already.
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

/// Removes the cookie cache from these headers if they set it, and clears an older one if the
/// browser `had` it.
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
