//! The answers of the operations listener, and the layer that counts requests for them.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows;
use crate::flows::ops::collect_metrics;

/// The media type of OpenMetrics 1.0.
const TEXT: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub(in crate::http) async fn metrics(State(app): State<Arc<App>>) -> Response {
    (
        [(header::CONTENT_TYPE, TEXT)],
        collect_metrics::metrics(&app).await,
    )
        .into_response()
}

/// Answers which verifiers have fetched the JWKS (`doctor --verifiers`).
pub(in crate::http) async fn verifiers(State(app): State<Arc<App>>) -> Response {
    axum::Json(flows::key::verifiers::seen(&app)).into_response()
}

/// Counts a request under the name of its route; paths that are not routes are `other`.
pub(in crate::http) async fn count(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    app.metrics.request(
        method,
        route.as_ref().map_or("other", MatchedPath::as_str),
        response.status().as_u16(),
        started.elapsed(),
    );
    response
}
