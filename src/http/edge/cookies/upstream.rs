//! The cookies of sign-ins at other issuers: one for each that has begun, named by the first characters
//! of its `state`, so that two tabs do not disturb each other. Only the path to which issuers send
//! browsers back gets them.

use axum::http::{HeaderMap, header};
use cookie::Cookie;
use cookie::time::Duration;

use super::{cleared, line, raw_named};
use crate::app::App;
use crate::model::kernel::time::Timestamp;

/// The greatest length of the part of `state` that names the cookie.
const LONGEST: usize = 8;

fn name(app: &App, part: &str) -> String {
    let guard = if app.config.is_https() {
        "__Secure-"
    } else {
        ""
    };
    let prefix = &app.config.sessions.cookie_prefix;
    format!("{guard}{prefix}.upstream.{part}")
}

/// Returns the part of a `state` that names its cookie: nothing that could be another cookie's name.
fn part(state: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    state.chars().filter(is_plain).take(LONGEST).collect()
}

fn with_attributes(app: &App, part: &str, value: &str, is_cross_site: bool) -> Cookie<'static> {
    let mut cookie = Cookie::new(name(app, part), value.to_owned());
    cookie.set_http_only(true);
    // An issuer that posts a form does so from its own page: a browser then sends no cookie with
    // `SameSite=Lax`. Without the `state`, which the cookie does not show, this one opens nothing.
    if is_cross_site {
        cookie.set_same_site(cookie::SameSite::None);
    } else {
        cookie.set_same_site(cookie::SameSite::Lax);
    }
    // Browsers take `SameSite=None` from loopback as well, together with `Secure`.
    if is_cross_site || app.config.is_https() {
        cookie.set_secure(true);
    }
    cookie.set_path(format!("{}/callback", app.config.server.mount.api()));
    cookie
}

/// Keeps the sealed state of a sign-in that has begun.
pub(in crate::http) fn keep(
    app: &App,
    headers: &mut HeaderMap,
    (state, sealed): (&str, &str),
    until: Timestamp,
    is_cross_site: bool,
) {
    let mut cookie = with_attributes(app, &part(state), sealed, is_cross_site);
    let seconds = i64::try_from(until.since(app.now()).as_secs()).unwrap_or(i64::MAX);
    cookie.set_max_age(Duration::seconds(seconds));
    headers.append(header::SET_COOKIE, line(&cookie));
}

/// Returns the sealed states that were kept under this `state`.
pub(in crate::http) fn kept(app: &App, headers: &HeaderMap, state: &str) -> Vec<String> {
    let mut values = raw_named(headers, &name(app, &part(state)));
    values.retain(|value| !value.is_empty());
    values
}

/// Clears the cookie of this `state`.
pub(in crate::http) fn forget(
    app: &App,
    headers: &mut HeaderMap,
    state: &str,
    is_cross_site: bool,
) {
    let cookie = with_attributes(app, &part(state), "", is_cross_site);
    headers.append(header::SET_COOKIE, cleared(cookie));
}
