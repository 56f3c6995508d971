//! What verifiers read: the JWKS, and discovery (RFC 8414, OpenID Connect Discovery). Answered from
//! memory, for all clients, without limits: some verifiers drop their valid keys after a refused
//! fetch. Neither body depends on the request.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::key::inspect_keys;
use crate::flows::key::inspect_keys::Set;
use crate::model::key::algorithm::Algorithm;
use crate::model::login::level::Level;
use crate::model::token::target::Target;

use crate::http::edge::client;
use crate::http::edge::error::Error;
use crate::http::edge::header_text;
use crate::http::edge::origin::MAX_REQUESTED;
use crate::http::edge::outermost;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const EVERY_ORIGIN: HeaderValue = HeaderValue::from_static("*");

/// Answers with the set that a verifier of the default audience, or of any audience, may fetch.
pub(super) async fn jwks(State(app): State<Arc<App>>, request: Request) -> Response {
    answer(&app, Set::Default, &request)
}

/// Answers with the keys of one audience, or with all keys.
pub(super) async fn jwks_of(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    match name {
        Ok(Path(name)) => answer(&app, Set::at(&name), &request),
        // A path that is not UTF-8 is that of no audience.
        Err(_) => refuse(&app, request.headers(), Error::NotFound),
    }
}

fn answer(app: &App, set: Set<'_>, request: &Request) -> Response {
    let ip = client::address(app, request.extensions(), request.headers());
    let request = request.headers();
    app.metrics.verifiers.fetched(
        &ip.map_or_else(|| "unknown".to_owned(), client::network),
        &client::user_agent(request),
        app.now(),
    );
    let jwks = match inspect_keys::jwks(app, set) {
        Ok(Some(jwks)) => {
            app.metrics.tokens.jwks_requested(set.label());
            jwks
        }
        // An audience that is added later is known at once: no cache keeps this answer.
        Ok(None) => return refuse(app, request, Error::NotFound),
        Err(refused) => return refuse(app, request, Error::Flow(refused)),
    };
    let fresh = request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|seen| matches(seen, &jwks.etag));
    let mut response = Response::new(if fresh {
        Body::empty()
    } else {
        Body::from(jwks.body.clone())
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
    headers.insert(header::CACHE_CONTROL, max_age(app));
    headers.insert(header::ETAG, header_text::value(&jwks.etag));
    open_to_all(app, request, headers);
    response
}

fn refuse(app: &App, request: &HeaderMap, error: Error) -> Response {
    let mut answer = outermost::render(error.into_response(), &outermost::new_request_id());
    open_to_all(app, request, answer.headers_mut());
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Answers with the origins outside the domain of the passkeys whose pages may use them (WebAuthn
/// level 3, section 5.11).
pub(super) async fn related_origins(State(app): State<Arc<App>>, request: HeaderMap) -> Response {
    let origins = app.config.passkeys.related();
    if origins.is_empty() {
        return refuse(&app, &request, Error::NotFound);
    }
    let mut response = axum::Json(json!({ "origins": origins })).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    open_to_all(&app, &request, headers);
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
    let default = app.config.tokens.targets.default();
    // Before the keys are loaded, the default audience is known already.
    let algorithms = app
        .ring()
        .map_or_else(|| vec![default.algorithm], |ring| ring.union.clone());
    document(&app, default, "/jwks", &algorithms, &request)
}

/// Answers with the documents of the audiences that have an issuer of their own: the path tells
/// which.
pub(super) async fn discovery_of(
    State(app): State<Arc<App>>,
    uri: Uri,
    request: HeaderMap,
) -> Response {
    let has_path = |target: &&Arc<Target>| {
        let issuer = target.issuer.as_str();
        own_paths(issuer).iter().any(|path| path == uri.path())
    };
    let targets = &app.config.tokens.targets;
    let own = targets
        .named()
        .filter(|target| target.issuer != targets.default().issuer);
    match own.into_iter().find(has_path) {
        Some(target) => {
            let name = target.name.label();
            let jwks = format!("/jwks/{name}");
            document(&app, target, &jwks, &[target.algorithm], &request)
        }
        None => refuse(&app, &request, Error::NotFound),
    }
}

fn document(
    app: &App,
    target: &Target,
    jwks: &str,
    algorithms: &[Algorithm],
    request: &HeaderMap,
) -> Response {
    let server = &app.config.server;
    let at = |path: &str| {
        format!(
            "{}{}{path}",
            server.public_url.as_str().trim_end_matches('/'),
            server.base_path
        )
    };
    let document = json!({
        "issuer": target.issuer,
        "jwks_uri": at(jwks),
        "token_endpoint": at("/oauth2/token"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "grant_types_supported": ["refresh_token"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "refresh_token_expiration_types_supported": ["authorization", "token_timeout"],
        "acr_values_supported": Level::ALL.map(Level::acr),
    });
    let mut response = axum::Json(document).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, max_age(app));
    open_to_all(app, request, headers);
    response
}

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// Returns the paths of both documents of the default issuer; if it has a path, all locations that
/// verifiers use.
pub(super) fn paths(issuer: &str) -> Vec<String> {
    let mut paths = vec![OPENID.to_owned(), OAUTH.to_owned()];
    paths.extend(own_paths(issuer));
    paths
}

/// Returns the paths of both documents of an issuer with a path, in all locations that verifiers
/// use; none for an issuer without a path.
pub(super) fn own_paths(issuer: &str) -> Vec<String> {
    let path = url::Url::parse(issuer)
        .map(|u| u.path().trim_end_matches('/').to_owned())
        .unwrap_or_default();
    if path.is_empty() {
        return vec![];
    }
    vec![
        format!("{path}{OPENID}"),
        format!("{OPENID}{path}"),
        format!("{OAUTH}{path}"),
    ]
}

fn max_age(app: &App) -> HeaderValue {
    let seconds = app.config.keys.policies.base.jwks_max_age.as_secs();
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
