//! Who may call from a browser. For unsafe methods a trusted `Origin` always passes and any other never; without `Origin` the request
//! must not be cross-site by its Fetch Metadata. `Host` is used for nothing. CORS reads the same list.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::app::App;
use crate::model::origin::TrustedOrigins;

use super::cookies::{self, Name, SET_AUTH_TOKEN};
use super::edge::REQUEST_ID;
use super::error::Error;
use super::sessions::SET_AUTH_JWT;

pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match check(&request, &app.config.server.trusted_origins) {
        Ok(()) => {
            let changes = *request.method() == Method::POST && !cookies::read(&app, request.headers(), Name::SessionData).is_empty();
            let mut response = next.run(request).await;
            // What was refused has changed nothing.
            if changes && !response.status().is_client_error() {
                cookies::forget_cache(&app, response.headers_mut());
            }
            response
        }
        Err(error) => error.into_response(),
    }
}

fn check(request: &Request, trusted: &TrustedOrigins) -> Result<(), Error> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: HeaderName| request.headers().get(name).map(|v| v.to_str().unwrap_or_default());
    match (text(header::ORIGIN), text(HeaderName::from_static("sec-fetch-site"))) {
        (Some("null"), _) => Err(Error::MissingOrNullOrigin),
        (Some(origin), _) if trusted.contains(origin) => Ok(()),
        (Some(_), _) => Err(Error::InvalidOrigin),
        (None, None | Some("same-origin" | "none")) => Ok(()),
        (None, Some(_)) => Err(Error::MissingOrNullOrigin),
    }
}

/// Credentials for trusted origins, nothing for the rest.
pub(super) fn cors(trusted: &TrustedOrigins) -> CorsLayer {
    let trusted = trusted.clone();
    let is_trusted = move |origin: &HeaderValue| origin.to_str().is_ok_and(|o| trusted.contains(o));
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| is_trusted(origin)))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION, REQUEST_ID])
        .expose_headers([
            header::RETRY_AFTER,
            HeaderName::from_static("x-retry-after"),
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            REQUEST_ID,
            SET_AUTH_TOKEN,
            SET_AUTH_JWT,
        ])
        .max_age(std::time::Duration::from_secs(600))
}
