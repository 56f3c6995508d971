//! Which origins may send requests from a browser. For unsafe methods a trusted `Origin` is always
//! accepted and any other refused; without `Origin` the request must not be cross-site by its Fetch
//! Metadata. `Host` decides nothing and is read for advice alone. CORS uses the same list.
//!
//! `Origin: null` is sent by pages without an origin (a sandboxed frame, a `data:` URL), after
//! redirects across origins, and by pages of this service under `Referrer-Policy: no-referrer`,
//! which some proxies add. Only the last case has `Sec-Fetch-Site: same-origin` as well, a header
//! that no script can set. With it `null` is accepted; without it, as from a browser that does not
//! send it, `null` is refused.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::app::{App, Notices, Turn};
use crate::model::kernel::foreign_origin;
use crate::model::kernel::foreign_origin::ForeignOrigin;
use crate::model::kernel::origin::TrustedOrigins;

use super::cookies;
use super::cookies::{Name, SET_AUTH_TOKEN};
use super::error::Error;
use super::outermost::REQUEST_ID;
use crate::http::edge::cookies::SET_AUTH_JWT;

/// Checks the origin of a request, and says in the log which setting refused it.
pub(in crate::http) fn guard(app: &App, request: &Request) -> Result<(), Error> {
    if is_answer_of_an_issuer(app, request) {
        return Ok(());
    }
    check(request, &app.config.server.trusted_origins).map_err(|refusal| {
        let found = notice(app, request);
        let is_local = app.config.server.is_on_loopback();
        refusal(is_local.then(|| found.to_string()))
    })
}

/// Returns whether a page of another issuer that posts its answers sends a browser back with a form, from an
/// origin that no setting names. The sealed state decides: a browser that did not begin the sign-in has none.
fn is_answer_of_an_issuer(app: &App, request: &Request) -> bool {
    let base = app.config.server.base_path.as_str();
    let rest = request.uri().path().strip_prefix(base);
    let provider = rest.and_then(|rest| rest.strip_prefix("/callback/"));
    let provider = provider.and_then(|id| app.config.upstream.find(id));
    provider.is_some_and(|provider| provider.posts_form())
}

/// Returns whether the cookies of this service are missing because the page of another site has sent the
/// form. A browser without Fetch Metadata is taken for one that comes from elsewhere if it has nothing
/// but the state of a sign-in, which alone comes along from there.
pub(in crate::http) fn is_without_cookies(app: &App, headers: &HeaderMap, has_state: bool) -> bool {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(site) => site == b"cross-site",
        None => has_state && !cookies::carries_any(app, headers),
    }
}

/// Whether a request may change what the cookie cache holds: a POST that carries the cache.
pub(in crate::http) struct MayOutdateCache(bool);

impl MayOutdateCache {
    /// Looks at a request before it is handled.
    pub(in crate::http) fn by(app: &App, request: &Request) -> Self {
        Self(
            *request.method() == Method::POST
                && !cookies::read(app, request.headers(), Name::SessionData).is_empty(),
        )
    }

    /// Clears the cookie cache of a client whose request may have changed its contents. A request
    /// that was refused has changed nothing.
    pub(in crate::http) fn forget(&self, app: &App, response: &mut Response) {
        if self.0 && !response.status().is_client_error() {
            cookies::forget_cache(app, response.headers_mut());
        }
    }
}

/// The error for a refused origin, without its advice for a developer.
type Refusal = fn(Option<String>) -> Error;

fn check(request: &Request, trusted: &TrustedOrigins) -> Result<(), Refusal> {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return Ok(());
    }
    // A header that occurs twice is not trusted.
    let text = |name: HeaderName| {
        let mut values = request.headers().get_all(name).iter();
        let first = values.next().map(|v| v.to_str().unwrap_or_default());
        if values.next().is_some() {
            Some("")
        } else {
            first
        }
    };
    match (
        text(header::ORIGIN),
        text(HeaderName::from_static("sec-fetch-site")),
    ) {
        (Some("null"), Some("same-origin")) | (None, None | Some("same-origin" | "none")) => Ok(()),
        (Some("null"), _) | (None, Some(_)) => Err(Error::MissingOrNullOrigin),
        (Some(origin), _) if trusted.contains(origin) => Ok(()),
        (Some(_), _) => Err(Error::InvalidOrigin),
    }
}

/// Logs a refused origin, with the setting to change, at most once a minute for each origin.
fn notice(app: &App, request: &Request) -> ForeignOrigin {
    let values = request.headers().get_all(header::ORIGIN).iter();
    let values: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
    let origin = (!values.is_empty()).then(|| values.join(&b", "[..]));
    let server = &app.config.server;
    let found = foreign_origin::explain(
        origin.as_deref(),
        host(request),
        &server.public_url,
        &server.trusted_origins,
    );
    match app.refused_origins.turn(&found.seen, app.uptime()) {
        Turn::Log => tracing::warn!(
            origin = found.seen,
            setting = found.setting,
            in_force = found.in_force,
            set_by = app.config.source_in_words(found.setting),
            add = found.line,
            "a page was refused: {}",
            found.advice
        ),
        Turn::TooMany => tracing::warn!(
            setting = found.setting,
            "pages of more than {} origins were refused within a minute; no more are logged",
            Notices::MOST
        ),
        Turn::Silent => {}
    }
    found
}

/// Logs that a page of a trusted origin calls the service under another loopback name than its own:
/// its requests are accepted, but the browser keeps no cookies.
fn notice_loopback_names(app: &App, request: &Request) {
    let origin = request.headers().get(header::ORIGIN);
    let origin = origin.and_then(|origin| origin.to_str().ok());
    let Some((origin, host)) = origin.zip(host(request)) else {
        return;
    };
    if foreign_origin::differs_in_loopback_name(origin, host)
        && app.refused_origins.turn(origin, app.uptime()) == Turn::Log
    {
        tracing::warn!(
            origin,
            host,
            setting = "server.public_url",
            in_force = %app.config.server.public_url,
            "a page and this service are reached under different loopback names, which are different sites for a browser: it keeps no cookies; use one name for both"
        );
    }
}

fn host(request: &Request) -> Option<&str> {
    let named = request.headers().get(header::HOST);
    named.and_then(|host| host.to_str().ok())
}

/// The longest list of header names in a preflight that is allowed.
pub(in crate::http) const MAX_REQUESTED: usize = 2_048;

/// Limits `Access-Control-Request-Headers` to pages of trusted origins: `cors` allows the names
/// that remain. The origin is the guard: a page that may send requests with cookies may also add
/// headers, such as those of tracing and error reporting.
pub(in crate::http) fn limit_requested(app: &App, request: &mut Request) {
    let origin = request.headers().get(header::ORIGIN);
    let trusted =
        origin.is_some_and(|origin| is_trusted(&app.config.server.trusted_origins, origin));
    let is_preflight = *request.method() == Method::OPTIONS;
    // `guard` logs unsafe methods. Others are answered, but the browser keeps the answer from the page.
    let is_hidden = is_preflight || matches!(*request.method(), Method::GET | Method::HEAD);
    if trusted {
        notice_loopback_names(app, request);
    } else if is_hidden && origin.is_some_and(|origin| is_preflight || origin != "null") {
        notice(app, request);
    }
    let short = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .is_some_and(|names| names.len() <= MAX_REQUESTED);
    if !trusted || !short {
        request
            .headers_mut()
            .remove(header::ACCESS_CONTROL_REQUEST_HEADERS);
    }
}

fn is_trusted(trusted: &TrustedOrigins, origin: &HeaderValue) -> bool {
    origin.to_str().is_ok_and(|origin| trusted.contains(origin))
}

/// Makes the CORS layer: credentials for trusted origins, nothing for others.
pub(in crate::http) fn cors(trusted: &TrustedOrigins) -> CorsLayer {
    let trusted = trusted.clone();
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            is_trusted(&trusted, origin)
        }))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("x-retry-after"),
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            REQUEST_ID,
            SET_AUTH_TOKEN,
            SET_AUTH_JWT,
            HeaderName::from_static("dpop"),
            HeaderName::from_static("dpop-nonce"),
        ])
        .max_age(std::time::Duration::from_secs(600))
}
