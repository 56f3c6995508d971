//! Limits the size of the headers of an answer. A proxy reads them into one buffer of a memory page
//! (nginx: `proxy_buffer_size`, 4 KiB) and answers 502 if they do not fit. Names, picture URLs and
//! permissions can be of any length, so optional headers are left out here, for every answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;

use super::cookies;
use crate::http::edge::cookies::SET_AUTH_JWT;

/// The greatest size in bytes, including the status line.
const BUDGET: usize = 4_096;
/// The size of the status line and of the headers that hyper writes: `date`, `content-length`,
/// `connection`.
const OTHERS: usize = 192;

fn size(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}

/// Keeps the headers of answers within the limit. It first removes the cookie cache, which only
/// saves a database read, then the access token beside the answer, which `GET /token` also returns.
/// If one of them fits without the other, it stays.
pub(in crate::http) async fn budget(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let caches = !app.config.sessions.cookie_cache.is_zero();
    let had_cache =
        caches && !cookies::read(&app, request.headers(), cookies::Name::SessionData).is_empty();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let (limit, whole) = (BUDGET - OTHERS, size(headers));
    if whole <= limit {
        return response;
    }
    let without_cache = caches
        .then(|| cookies::without_cache(&app, headers, had_cache))
        .flatten();
    let mut without_token = headers.clone();
    let has_token = without_token.remove(SET_AUTH_JWT).is_some();
    match without_cache {
        Some(slim) if size(&slim) <= limit => {
            app.metrics.left_out("session_data");
            *headers = slim;
        }
        _ if has_token && size(&without_token) <= limit => {
            app.metrics.left_out("set-auth-jwt");
            *headers = without_token;
        }
        slim => {
            if let Some(slim) = slim {
                app.metrics.left_out("session_data");
                *headers = slim;
            }
            if headers.remove(SET_AUTH_JWT).is_some() {
                app.metrics.left_out("set-auth-jwt");
            }
            if size(headers) > limit {
                app.metrics.left_out("nothing");
            }
        }
    }
    response
}
