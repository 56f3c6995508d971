//! The outermost layer of the API and the pages: request id, the body of errors, security headers,
//! one log line for each request; and the layer that limits time and catches panics.

use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::traces::{TARGET, adopt};

use super::error::{Error, Failure};
use super::header_text;

/// The name of the header `X-Request-Id`.
pub(in crate::http) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of the header `Cross-Origin-Resource-Policy`.
pub(in crate::http) const RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// Adds HSTS, so that browsers do not use plain http again: for two years, as is usual, and without
/// subdomains, which may belong to other services.
pub(in crate::http) fn require_https(headers: &mut HeaderMap) {
    headers.insert(
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=63072000"),
    );
}

/// Longer than any normal request takes, including the queue of password hashing.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// The id of the request, for handlers.
#[derive(Debug, Clone)]
pub(in crate::http) struct RequestId(pub(in crate::http) String);

/// Makes a new id: unique in the process by a counter, and globally by a random start.
#[expect(
    clippy::disallowed_methods,
    reason = "a request id is no secret and no test looks at it"
)]
pub(in crate::http) fn new_request_id() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| {
        let mut bytes = [0; 8];
        // After a failure here an id may repeat, which is no security problem.
        getrandom::fill(&mut bytes).unwrap_or(());
        u64::from_le_bytes(bytes)
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{:016x}{:08x}",
        *PROCESS,
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Returns the client's own id if it is short and plain, otherwise a new one.
fn request_id(request: &Request) -> String {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|v| v.to_str().ok());
    let plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    given
        .filter(plain)
        .map_or_else(new_request_id, ToOwned::to_owned)
}

/// Returns the standard method, or `_OTHER`, so that clients cannot create unbounded label values.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::PATCH
        | Method::OPTIONS => method.as_str(),
        _ => "_OTHER",
    }
}

/// A request from its arrival to its answer: its id, its span and its log line.
pub(in crate::http) struct Arrival {
    started: Instant,
    id: String,
    method: Method,
    route: String,
    span: Span,
    is_oauth: bool,
}

impl Arrival {
    /// Gives the request its id and opens its span.
    pub(in crate::http) fn of(request: &mut Request) -> Self {
        let started = Instant::now();
        let id = request_id(request);
        let method = request.method().clone();
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or_else(String::new, |p| p.as_str().to_owned());
        request.extensions_mut().insert(RequestId(id.clone()));
        let span = tracing::info_span!(
            target: TARGET, "request", otel.name = format!("{} {route}", known(&method)), otel.kind = "server", http.request.method = known(&method), http.route = route, request_id = id,
            http.response.status_code = Empty, error.type = Empty,
        );
        adopt(&span, request.headers());
        let is_oauth = oauth(request.uri().path());
        Self {
            started,
            id,
            method,
            route,
            span,
            is_oauth,
        }
    }

    /// Waits for the answer, writes the body of its error and its headers, and logs it.
    pub(in crate::http) async fn answer(self, work: impl Future<Output = Response>) -> Response {
        let work = AssertUnwindSafe(work)
            .catch_unwind()
            .instrument(self.span.clone());
        // Handlers have a catch of their own; this one is for the layers between.
        let response = work.await.unwrap_or_else(|_| panicked());
        let failure = response.extensions().get::<Failure>().cloned();
        let response = if self.is_oauth {
            render_oauth(response, &self.id)
        } else {
            render(response, &self.id)
        };
        self.log(response.status().as_u16(), failure.as_ref());
        response
    }

    /// Writes the log line. Its level depends on the outcome: successes are only logged at
    /// `log.level=debug`.
    fn log(&self, status: u16, failure: Option<&Failure>) {
        let Self {
            id: request_id,
            method,
            route,
            ..
        } = self;
        let ms = self.started.elapsed().as_secs_f64() * 1e3;
        let code = failure.map(Failure::code);
        self.span.record("http.response.status_code", status);
        if let Some(code) = code {
            self.span.record("error.type", code);
        }
        match failure {
            Some(Failure {
                cause: Some(cause), ..
            }) => tracing::error!(request_id, %method, route, status, code, ms, cause, "request"),
            Some(Failure { cause: None, .. }) => {
                tracing::info!(request_id, %method, route, status, code, ms, "request");
            }
            None => tracing::debug!(request_id, %method, route, status, ms, "request"),
        }
    }
}

/// Gives each request an id, a span, a log line and the body of its error, as a layer.
pub(in crate::http) async fn edge(mut request: Request, next: Next) -> Response {
    let arrival = Arrival::of(&mut request);
    arrival.answer(next.run(request)).await
}

/// Limits the time of a piece of work and catches its panics; both become errors.
pub(in crate::http) async fn bounded(work: impl Future<Output = Response>) -> Response {
    let work = AssertUnwindSafe(work).catch_unwind();
    match tokio::time::timeout(TIME_LIMIT, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => panicked(),
        Err(_) => Error::Flow(crate::flows::Error::OutOfTime).into_response(),
    }
}

fn panicked() -> Response {
    Error::Internal("a handler panicked".into()).into_response()
}

/// Returns whether OAuth clients read the answers of this path.
fn oauth(path: &str) -> bool {
    let is_logout = path.ends_with("/logout") && path.contains("/upstream/");
    path.ends_with("/oauth2/token") || path.ends_with("/oauth2/revoke") || is_logout
}

/// Renders an error in the form of RFC 6749, whatever caused it: a limit, load, a panic. A wrong
/// method or path is not an OAuth request.
fn render_oauth(mut response: Response, id: &str) -> Response {
    if let Some(failure) = response
        .extensions_mut()
        .get_mut::<Failure>()
        .filter(|failure| {
            !matches!(
                failure.status,
                StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND
            )
        })
    {
        failure.shown = true;
        let body = failure.oauth_body();
        *response.body_mut() = Body::from(body);
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    }
    render(response, id)
}

/// Answers with an error before any other layer has seen the request.
pub(in crate::http) fn refuse(error: Error) -> Response {
    render(error.into_response(), &new_request_id())
}

/// Writes the body of an error and the headers of every answer.
pub(in crate::http) fn render(mut response: Response, id: &str) -> Response {
    if let Some(failure) = response
        .extensions_mut()
        .remove::<Failure>()
        .filter(|failure| !failure.shown)
    {
        *response.body_mut() = Body::from(failure.body(id));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::REFERRER_POLICY)
        .or_insert(HeaderValue::from_static("no-referrer"));
    // Default headers for API responses: no framing, no cross-origin embedding. HTML pages set a
    // richer Content-Security-Policy first.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    headers
        .entry(header::X_FRAME_OPTIONS)
        .or_insert(HeaderValue::from_static("DENY"));
    headers
        .entry(RESOURCE_POLICY)
        .or_insert(HeaderValue::from_static("same-origin"));
    headers.insert(REQUEST_ID, header_text::value(id));
    response
}

/// Refuses a method outside the layer that writes bodies, and writes the body itself.
pub(in crate::http) async fn method_not_allowed_plain() -> Response {
    render(Error::MethodNotAllowed.into_response(), &new_request_id())
}
