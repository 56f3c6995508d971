//! What verifiers read: the JWKS, and discovery (RFC 8414, OpenID Connect Discovery). Answered from
//! memory, for all clients, without limits: some verifiers drop their valid keys after a refused
//! fetch. Neither body depends on the request.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::key::inspect_keys;

use crate::http::edge::client;
use crate::http::edge::error::Error;
use crate::http::edge::header_text;
use crate::http::edge::origin::MAX_REQUESTED;
use crate::http::edge::outermost;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const EVERY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

pub(super) async fn jwks(State(app): State<Arc<App>>, request: Request) -> Response {
    let ip = client::address(&app, request.extensions(), request.headers());
    let request = request.headers();
    app.metrics.verifiers.fetched(
        &ip.map_or_else(|| "unknown".to_owned(), client::network),
        &client::user_agent(request),
        app.now(),
    );
    let ring = match inspect_keys::loaded(&app) {
        Ok(ring) => ring,
        Err(refused) => {
            let answer = Error::Flow(refused).into_response();
            return outermost::render(answer, &outermost::new_request_id());
        }
    };
    let fresh = request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|seen| matches(seen, &ring.jwks.etag));
    let mut response = Response::new(if fresh {
        Body::empty()
    } else {
        Body::from(ring.jwks.body.clone())
    });
    if fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    // At once as much as is needed, with what the outer layers add.
    headers.reserve(16);
    if !fresh {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    headers.insert(header::CACHE_CONTROL, max_age(&app));
    headers.insert(header::ETAG, header_text::value(&ring.jwks.etag));
    open_to_all(&app, request, headers);
    response
}

/// Answers a preflight: any page may send any header, none of which is read.
pub(super) async fn preflight(State(app): State<Arc<App>>, request: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    open_to_all(&app, &request, headers);
    headers.insert(
        header::VARY,
        HeaderValue::from_static(
            "origin, access-control-request-method, access-control-request-headers",
        ),
    );
    headers.insert(header::ALLOW, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let requested = request
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .filter(|names| names.len() <= MAX_REQUESTED);
    headers.extend(requested.map(|names| (header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone())));
    response
}

/// Matches an entity tag by RFC 9110 section 13.1.2: a list of tags, weak comparison, or `*`.
fn matches(seen: &HeaderValue, etag: &str) -> bool {
    seen.to_str().is_ok_and(|seen| {
        seen.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

pub(super) async fn discovery(State(app): State<Arc<App>>, request: HeaderMap) -> Response {
    let server = &app.config.server;
    let at = |path: &str| {
        format!(
            "{}{}{path}",
            server.public_url.as_str().trim_end_matches('/'),
            server.base_path
        )
    };
    let document = json!({
        "issuer": app.config.tokens.issuer,
        "jwks_uri": at("/jwks"),
        "token_endpoint": at("/oauth2/token"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "grant_types_supported": ["refresh_token"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "refresh_token_expiration_types_supported": ["authorization", "token_timeout"],
    });
    let mut response = axum::Json(document).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, max_age(&app));
    open_to_all(&app, &request, headers);
    response
}

/// Returns the paths of both documents; for an issuer with a path, all locations that verifiers
/// use.
pub(super) fn paths(issuer: &str) -> Vec<String> {
    let (openid, oauth) = (
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    );
    let mut paths = vec![openid.to_owned(), oauth.to_owned()];
    let path = url::Url::parse(issuer)
        .map(|u| u.path().trim_end_matches('/').to_owned())
        .unwrap_or_default();
    if !path.is_empty() {
        paths.extend([
            format!("{path}{openid}"),
            format!("{openid}{path}"),
            format!("{oauth}{path}"),
        ]);
    }
    paths
}

fn max_age(app: &App) -> HeaderValue {
    let seconds = app.config.keys.policy.jwks_max_age.as_secs();
    header_text::value(&format!("public, max-age={seconds}"))
}

/// Lets every page read the answer. Browsers do not accept `*` if a page sends its cookies, as the
/// Better Auth client does, so a page of a trusted origin is named instead.
fn open_to_all(app: &App, request: &HeaderMap, headers: &mut HeaderMap) {
    let origin = request.get(header::ORIGIN).filter(|o| {
        o.to_str()
            .is_ok_and(|o| app.config.server.trusted_origins.contains(o))
    });
    if origin.is_some() {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        origin.cloned().unwrap_or(EVERY_ORIGIN),
    );
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        outermost::RESOURCE_POLICY,
        HeaderValue::from_static("cross-origin"),
    );
    headers.insert(
        outermost::REQUEST_ID,
        header_text::value(&outermost::new_request_id()),
    );
}
