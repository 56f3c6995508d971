//! Counts requests for the metrics, under the names of their routes.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;

use crate::app::App;

/// A request that is counted under the name of its route when it is answered; paths that are not
/// routes are `other`.
pub(in crate::http) struct Counted {
    started: Instant,
    method: &'static str,
    route: Option<MatchedPath>,
}

impl Counted {
    /// Remembers what is counted of a request, and when it began.
    pub(in crate::http) fn begin(request: &Request) -> Self {
        let method = match *request.method() {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::HEAD => "HEAD",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        Self {
            started: Instant::now(),
            method,
            route: request.extensions().get::<MatchedPath>().cloned(),
        }
    }

    /// Counts the answer by its status and time.
    pub(in crate::http) fn end(self, app: &App, response: &Response) {
        app.metrics.request(
            self.method,
            self.route.as_ref().map_or("other", MatchedPath::as_str),
            response.status().as_u16(),
            self.started.elapsed(),
        );
    }
}
