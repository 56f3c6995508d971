//! Refuses networks that an operator has blocked, before anything else is done. The JWKS, discovery
//! and health are exempt: verifiers and load balancers may have the same IP address.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows;
use crate::flows::limit::operate_limits;

use super::client::address;
use super::error::Error;

pub(in crate::http) async fn guard(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let left = address(&app, request.extensions(), request.headers())
        .and_then(|ip| operate_limits::blocked(&app, &ip.to_string()));
    match left {
        Some(left) => Error::Flow(flows::Error::TooManyRequests(left)).into_response(),
        None => next.run(request).await,
    }
}
