//! Limits the size of the headers of an answer. A proxy reads them into one buffer of a memory page
//! (nginx: `proxy_buffer_size`, 4 KiB) and answers 502 if they do not fit. Names, picture URLs and
//! permissions can be of any length, so optional headers are left out here, for every answer.

use axum::http::HeaderMap;

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

/// The limit of one answer's headers, which depends on what its request carries.
pub(in crate::http) struct Budget {
    had_cache: bool,
}

impl Budget {
    /// Looks at a request before it is handled.
    pub(in crate::http) fn of(app: &App, request: &HeaderMap) -> Self {
        let caches = !app.config.sessions.cookie_cache.is_zero();
        Self {
            had_cache: caches
                && !cookies::read(app, request, cookies::Name::SessionData).is_empty(),
        }
    }

    /// Keeps the headers of an answer within the limit. It first removes the cookie cache, which
    /// only saves a database read, then the access token beside the answer, which `GET /token` also
    /// returns. If one of them fits without the other, it stays.
    pub(in crate::http) fn keep(&self, app: &App, headers: &mut HeaderMap) {
        let (limit, whole) = (BUDGET - OTHERS, size(headers));
        if whole <= limit {
            return;
        }
        let caches = !app.config.sessions.cookie_cache.is_zero();
        let without_cache = caches
            .then(|| cookies::without_cache(app, headers, self.had_cache))
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
    }
}
