//! Liveness and readiness for load balancers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::ops::check_health;

use crate::http::edge::outermost;

pub(in crate::http) async fn ok() -> Response {
    Json(json!({ "ok": true })).into_response()
}

/// Answers that the process is running; checks nothing else.
pub(in crate::http) async fn health() -> Response {
    outermost::render(
        Json(json!({ "status": "ok" })).into_response(),
        &outermost::new_request_id(),
    )
}

/// Answers 200 if the process is ready, otherwise 503 with the failing parts.
pub(in crate::http) async fn ready(State(app): State<Arc<App>>) -> Response {
    let checks = check_health::readiness(&app).await;
    let (status, word) = if checks.is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let reasons = checks.reasons();
    if !reasons.is_empty() {
        tracing::warn!(
            reasons = reasons.join("; "),
            unwritable = checks.unwritable,
            "not ready"
        );
    }
    let mut answer = json!({ "status": word, "checks": checks, "reasons": reasons });
    let warnings = checks.warnings();
    if !warnings.is_empty() {
        answer["warnings"] = warnings.into();
    }
    outermost::render(
        (status, Json(answer)).into_response(),
        &outermost::new_request_id(),
    )
}
