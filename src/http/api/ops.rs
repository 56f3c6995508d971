//! What the operations listener says, and the layer that counts requests for it.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows;
use crate::flows::ops::collect_metrics;

/// OpenMetrics 1.0.
const TEXT: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub(in crate::http) async fn metrics(State(app): State<Arc<App>>) -> Response {
    (
        [(header::CONTENT_TYPE, TEXT)],
        collect_metrics::metrics(&app).await,
    )
        .into_response()
}

/// Which verifiers have fetched the JWKS (`doctor --verifiers`).
pub(in crate::http) async fn verifiers(State(app): State<Arc<App>>) -> Response {
    axum::Json(flows::key::verifiers::seen(&app)).into_response()
}

/// Counts an answer under its route as this program names it: what a client makes up is `other`.
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
