//! Which origins may send requests from a browser. For unsafe methods a trusted `Origin` is always
//! accepted and any other refused; without `Origin` the request must not be cross-site by its Fetch
//! Metadata. `Host` is not used. CORS uses the same list.
//!
//! `Origin: null` is sent by pages without an origin (a sandboxed frame, a `data:` URL), after
//! redirects across origins, and by pages of this service under `Referrer-Policy: no-referrer`,
//! which some proxies add. Only the last case has `Sec-Fetch-Site: same-origin` as well, a header
//! that no script can set. With it `null` is accepted; without it, as from a browser that does not
//! send it, `null` is refused.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::app::App;
use crate::model::kernel::origin::TrustedOrigins;

use super::cookies;
use super::cookies::{Name, SET_AUTH_TOKEN};
use super::error::Error;
use super::outermost::REQUEST_ID;
use crate::http::edge::cookies::SET_AUTH_JWT;

pub(in crate::http) async fn guard(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    match check(&request, &app.config.server.trusted_origins) {
        Ok(()) => {
            let changes = *request.method() == Method::POST
                && !cookies::read(&app, request.headers(), Name::SessionData).is_empty();
            let mut response = next.run(request).await;
            // A request that was refused has changed nothing.
            if changes && !response.status().is_client_error() {
                cookies::forget_cache(&app, response.headers_mut());
            }
            response
        }
        Err(error) => error.into_response(),
    }
}

fn check(request: &Request, trusted: &TrustedOrigins) -> Result<(), Error> {
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

/// The longest list of header names in a preflight that is allowed.
pub(in crate::http) const MAX_REQUESTED: usize = 2_048;

/// Limits `Access-Control-Request-Headers` to pages of trusted origins: `cors` allows the names
/// that remain. The origin is the guard: a page that may send requests with cookies may also add
/// headers, such as those of tracing and error reporting.
pub(in crate::http) async fn requested(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let trusted = request
        .headers()
        .get(header::ORIGIN)
        .is_some_and(|origin| is_trusted(&app.config.server.trusted_origins, origin));
    let short = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .is_some_and(|names| names.len() <= MAX_REQUESTED);
    if !trusted || !short {
        request
            .headers_mut()
            .remove(header::ACCESS_CONTROL_REQUEST_HEADERS);
    }
    next.run(request).await
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
