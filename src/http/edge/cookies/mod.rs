//! Cookies: their names, attributes and clearing lines. The flows sign the values; the cookie
//! library percent-encodes them.

mod cache;
pub(in crate::http) mod upstream;
mod variants;

use super::header_text;
use crate::app::App;
use crate::model::kernel::time::Timestamp;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
pub(in crate::http) use cache::{forget_cache, without_cache};
use cookie::Cookie;
use cookie::time::Duration;
pub(in crate::http) use variants::Carried;

/// The header `set-auth-token`: the decoded value of the session cookie.
pub(in crate::http) const SET_AUTH_TOKEN: HeaderName = HeaderName::from_static("set-auth-token");

/// The header `set-auth-jwt`: an access token beside the answer.
pub(in crate::http) const SET_AUTH_JWT: HeaderName = HeaderName::from_static("set-auth-jwt");

/// The name of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Name {
    /// The session token, signed.
    Session,
    /// The cookie cache.
    SessionData,
    /// The marker of a session that ends with the browser.
    DontRemember,
    /// An admin's own session, set aside during an impersonation.
    AdminSession,
    /// The account at which this browser has signed in before; kept at sign-out.
    Device,
    /// The refresh token.
    Refresh,
    /// The secret of a sign-in that waits for its second step.
    Challenge,
    /// The browser needs no second step for a time; kept at sign-out.
    Remembered,
    /// The binding of codes and links that this browser has asked for.
    Code,
    /// The state of a ceremony with a passkey.
    Ceremony,
    /// What a visitor has typed into a form of the pages, for the next page.
    Typed,
}

const NAMES: [Name; 11] = [
    Name::Session,
    Name::SessionData,
    Name::DontRemember,
    Name::AdminSession,
    Name::Device,
    Name::Refresh,
    Name::Challenge,
    Name::Remembered,
    Name::Code,
    Name::Ceremony,
    Name::Typed,
];

impl Name {
    fn text(self, app: &App) -> String {
        let sessions = &app.config.sessions;
        let guard = match (app.config.is_https(), self.is_for_this_host_alone(app)) {
            (true, true) => "__Host-",
            (true, false) => "__Secure-",
            (false, _) => "",
        };
        let own = match self {
            Self::Session => "session_token",
            Self::SessionData => "session_data",
            Self::DontRemember => "dont_remember",
            Self::AdminSession => "admin_session",
            Self::Device => "known_device",
            Self::Refresh => "refresh_token",
            Self::Challenge => "two_factor",
            Self::Remembered => "trust_device",
            Self::Code => "email_code",
            Self::Ceremony => "better-auth-passkey",
            Self::Typed => "typed",
        };
        format!("{guard}{}.{own}", sessions.cookie_prefix)
    }

    /// Returns whether browsers only accept and send the cookie for this host, so that no other
    /// host of the site can set it. Always so for a known device: it decides whose browser opens
    /// the link of a mail, and only browsers use it. The same holds for the binding of a code, and
    /// for what was typed, which only the pages read.
    fn is_for_this_host_alone(self, app: &App) -> bool {
        matches!(self, Self::Typed | Self::Device | Self::Code)
            || app.config.sessions.cookie_host_prefix
    }
}

/// Returns every value of this cookie in the request, except empty ones.
pub(in crate::http) fn read(app: &App, headers: &HeaderMap, name: Name) -> Vec<String> {
    let mut values = raw(app, headers, name);
    values.retain(|value| !value.is_empty());
    values
}

/// Returns whether the request has a cookie of this service, valid or not.
pub(in crate::http) fn carries_any(app: &App, headers: &HeaderMap) -> bool {
    NAMES
        .into_iter()
        .any(|name| !raw(app, headers, name).is_empty())
}

/// Returns the values of a cookie. Names are compared undecoded: a name that only decodes to
/// `__Host-…` has none of its guarantees. A value that cannot be decoded is kept as it is, and
/// invalid bytes in cookies of other applications are skipped.
fn raw(app: &App, headers: &HeaderMap, name: Name) -> Vec<String> {
    if !headers.contains_key(header::COOKIE) {
        return Vec::new();
    }
    raw_named(headers, &name.text(app))
}

fn raw_named(headers: &HeaderMap, wanted: &str) -> Vec<String> {
    let mut values = Vec::new();
    for line in headers.get_all(header::COOKIE) {
        let line = String::from_utf8_lossy(line.as_bytes()).into_owned();
        let found = Cookie::split_parse(line)
            .filter_map(Result::ok)
            .filter(|c| c.name() == wanted);
        values.extend(found.map(|c| decoded(c.value_trimmed())));
    }
    values
}

fn decoded(value: &str) -> String {
    let whole = format!("v={value}");
    Cookie::parse_encoded(whole).map_or_else(|_| value.to_owned(), |c| c.value().to_owned())
}

/// Sets a cookie until `until`, or until the browser is closed.
pub(in crate::http) fn set(
    app: &App,
    headers: &mut HeaderMap,
    name: Name,
    value: &str,
    until: Option<Timestamp>,
) {
    let mut cookie = with_attributes(app, name, value);
    if let Some(until) = until {
        let seconds =
            i64::try_from(until.since(app.now()).as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        cookie.set_max_age(Duration::seconds(seconds));
    }
    headers.append(header::SET_COOKIE, line(&cookie));
    // For clients without cookies: the value that is sent after `Bearer` (contract section 4).
    if name == Name::Session {
        headers.insert(SET_AUTH_TOKEN, header_text::value(value));
    }
}

/// Which cookies of a session are cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Clear {
    /// All that belong to the session of the session cookie.
    Session,
    /// The tokens of the session, when a sign-in that waits for its second step takes its place.
    Tokens,
    /// Only the refresh token: the session cookie beside it belongs to another, live session.
    Refresh,
}

/// Clears the cookies of a session.
pub(in crate::http) fn clear(app: &App, headers: &mut HeaderMap, which: Clear) {
    let names: &[Name] = match which {
        Clear::Session => &[
            Name::Session,
            Name::SessionData,
            Name::DontRemember,
            Name::Refresh,
        ],
        Clear::Tokens => &[Name::Session, Name::SessionData, Name::Refresh],
        Clear::Refresh => &[Name::Refresh],
    };
    for name in names {
        clear_one(app, headers, *name);
    }
}

/// Returns whether a line of `Set-Cookie` sets or clears this cookie.
pub(in crate::http) fn is_line_of(app: &App, line: &HeaderValue, name: Name) -> bool {
    let own = format!("{}=", name.text(app));
    line.as_bytes().starts_with(own.as_bytes())
}

/// Clears one cookie by its name.
pub(in crate::http) fn clear_one(app: &App, headers: &mut HeaderMap, name: Name) {
    headers.append(header::SET_COOKIE, cleared(with_attributes(app, name, "")));
}

fn cleared(mut cookie: Cookie<'_>) -> HeaderValue {
    cookie.set_max_age(Duration::ZERO);
    line(&cookie)
}

/// Makes a cookie with its attributes: HttpOnly, Secure, Domain, SameSite and Path.
fn with_attributes(app: &App, name: Name, value: &str) -> Cookie<'static> {
    let sessions = &app.config.sessions;
    let mut cookie = Cookie::new(name.text(app), value.to_owned());
    cookie.set_http_only(true);
    if app.config.is_https() {
        cookie.set_secure(true);
    }
    if let Some(domain) = sessions
        .cookie_domain
        .as_ref()
        .filter(|_| !name.is_for_this_host_alone(app))
    {
        cookie.set_domain(domain.as_str().to_owned());
    }
    // The refresh token is sent to this service and from its own site only, unless the operator
    // serves another site.
    let same_site = sessions.cookie_same_site.for_cookie(name == Name::Refresh);
    cookie.set_same_site(match same_site {
        "none" => cookie::SameSite::None,
        "strict" => cookie::SameSite::Strict,
        _ => cookie::SameSite::Lax,
    });
    let path = if name == Name::Refresh && !sessions.cookie_host_prefix {
        app.config.server.mount.api()
    } else {
        "/".to_owned()
    };
    cookie.set_path(path);
    cookie
}

fn line(cookie: &Cookie<'_>) -> HeaderValue {
    // Name, domain and path are types that contain only visible ASCII, and the value is
    // percent-encoded.
    header_text::value(&cookie.encoded().to_string())
}
