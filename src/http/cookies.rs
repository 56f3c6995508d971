//! Cookies: their names, attributes and clearing lines. The values come signed from the flows; percent-encoding is the library's.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use cookie::Cookie;
use cookie::time::Duration;

use crate::app::App;
use crate::model::time::Timestamp;

/// `set-auth-token`: the session cookie's value, decoded.
pub(super) const SET_AUTH_TOKEN: HeaderName = HeaderName::from_static("set-auth-token");

/// Which cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// The session token, signed.
    Session,
    /// The cookie cache.
    SessionData,
    /// Marks a session that ends with the browser.
    DontRemember,
    /// The session of an admin who acts as somebody else, set aside.
    AdminSession,
    /// Says at which account this browser has signed in before; outlives signing out.
    Device,
    /// The refresh token.
    Refresh,
}

impl Name {
    fn text(self, app: &App) -> String {
        let sessions = &app.config.sessions;
        let guard = match (app.config.is_https(), sessions.cookie_host_prefix) {
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
        };
        format!("{guard}{}.{own}", sessions.cookie_prefix)
    }
}

/// Every value of this cookie that the request carries, empty ones left out. Names are compared as they came: a name that only decodes to
/// `__Host-…` has none of its guarantees. A value that does not decode stays raw, and another application's odd bytes hurt nobody.
pub(super) fn read(app: &App, headers: &HeaderMap, name: Name) -> Vec<String> {
    let wanted = name.text(app);
    let mut values = Vec::new();
    for line in headers.get_all(header::COOKIE) {
        let line = String::from_utf8_lossy(line.as_bytes()).into_owned();
        let found = Cookie::split_parse(line).filter_map(Result::ok).filter(|c| c.name() == wanted);
        values.extend(found.map(|c| decoded(c.value_trimmed())));
    }
    values.retain(|v| !v.is_empty());
    values
}

fn decoded(value: &str) -> String {
    let whole = format!("v={value}");
    Cookie::parse_encoded(whole).map_or_else(|_| value.to_owned(), |c| c.value().to_owned())
}

/// Sets a cookie until `until`, or until the browser closes.
pub(super) fn set(app: &App, headers: &mut HeaderMap, name: Name, value: &str, until: Option<Timestamp>) {
    let mut cookie = base(app, name, value);
    if let Some(until) = until {
        let seconds = i64::try_from(until.since(app.now()).as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        cookie.set_max_age(Duration::seconds(seconds));
    }
    append(headers, &cookie);
    // For clients that hold no cookies: the same value as it goes behind `Bearer` (contract section 4).
    if name == Name::Session
        && let Ok(value) = HeaderValue::from_str(value)
    {
        headers.insert(SET_AUTH_TOKEN, value);
    }
}

/// Clears the cookies of a session; with `only_refresh` just that one.
pub(super) fn clear(app: &App, headers: &mut HeaderMap, only_refresh: bool) {
    let names: &[Name] = if only_refresh { &[Name::Refresh] } else { &[Name::Session, Name::SessionData, Name::DontRemember, Name::Refresh] };
    for name in names {
        clear_one(app, headers, *name);
    }
}

/// Clears this cookie.
pub(super) fn clear_one(app: &App, headers: &mut HeaderMap, name: Name) {
    let mut cookie = base(app, name, "");
    cookie.set_max_age(Duration::ZERO);
    append(headers, &cookie);
}

/// After a change the cookie cache may be wrong: it goes, unless this answer brought or cleared it already.
pub(super) fn forget_cache(app: &App, headers: &mut HeaderMap) {
    let own = format!("{}=", Name::SessionData.text(app));
    let told = headers.get_all(header::SET_COOKIE).iter().any(|line| line.as_bytes().starts_with(own.as_bytes()));
    if !told {
        clear_one(app, headers, Name::SessionData);
    }
}

fn base(app: &App, name: Name, value: &str) -> Cookie<'static> {
    let sessions = &app.config.sessions;
    let mut cookie = Cookie::new(name.text(app), value.to_owned());
    cookie.set_http_only(true);
    if app.config.is_https() {
        cookie.set_secure(true);
    }
    if let Some(domain) = &sessions.cookie_domain {
        cookie.set_domain(domain.clone());
    }
    // The refresh token travels to us alone and from our own site alone, unless the operator serves another site.
    let same_site = sessions.cookie_same_site.for_cookie(name == Name::Refresh);
    cookie.set_same_site(match same_site {
        "none" => cookie::SameSite::None,
        "strict" => cookie::SameSite::Strict,
        _ => cookie::SameSite::Lax,
    });
    let path = if name == Name::Refresh && !sessions.cookie_host_prefix { app.config.server.base_path.clone() } else { "/".to_owned() };
    cookie.set_path(path);
    cookie
}

fn append(headers: &mut HeaderMap, cookie: &Cookie<'_>) {
    if let Ok(value) = HeaderValue::from_str(&cookie.encoded().to_string()) {
        headers.append(header::SET_COOKIE, value);
    }
}
