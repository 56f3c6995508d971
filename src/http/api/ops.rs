//! The answers of the operations listener.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
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
