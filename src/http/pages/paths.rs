//! The paths of the pages: which page the form of an action stands on, and how the redirect target
//! is carried along.

use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};

use super::visitor::see_other;
use crate::http::edge::error::Error;
use crate::http::edge::redirects::query_of;

/// The page of the connected accounts.
pub(super) const CONNECTIONS: &str = "/auth/account/security";

/// Returns the page that the form of an action stands on: `/auth/account` for
/// `/auth/account/sessions/end`, `/auth/admin/users/ID` for `/auth/admin/users/ID/ban`.
pub(super) fn page_of(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let kept = match segments.as_slice() {
        ["auth", "account", "connections", ..] => return CONNECTIONS.to_owned(),
        ["auth", "admin", "users", _, ..] => 4,
        ["auth", "admin", _, ..] | ["auth", "account", "security", ..] => 3,
        ["auth", "sign-out"] | ["auth"] => 1,
        ["auth", "sign-in", "code"] => return "/auth/sign-in/email".to_owned(),
        ["auth", ..] => 2,
        _ => return "/auth".to_owned(),
    };
    format!("/{}", segments[..kept].join("/"))
}

/// Returns a path of this service with the redirect target.
pub(super) fn with_next(path: &str, next: &str) -> String {
    let sign = if path.contains('?') { "&" } else { "?" };
    query_of(next)
        .strip_prefix('?')
        .map_or_else(|| path.to_owned(), |pair| format!("{path}{sign}{pair}"))
}

/// Answers a method that a path does not have. A GET of an action, as after a reload, leads to the
/// page with its form.
pub(super) async fn other_method(method: Method, uri: Uri) -> Response {
    let page = page_of(uri.path());
    if matches!(method, Method::GET | Method::HEAD) {
        see_other(if page == uri.path() { "/auth" } else { &page })
    } else {
        Error::MethodNotAllowed.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::page_of;

    #[test]
    fn an_action_has_its_page() {
        for (action, page) in [
            ("/auth/account/name", "/auth/account"),
            ("/auth/account/sessions/end-others", "/auth/account"),
            ("/auth/account/security/turn-off", "/auth/account/security"),
            (
                "/auth/account/connections/disconnect",
                "/auth/account/security",
            ),
            ("/auth/sign-in/with", "/auth/sign-in"),
            ("/auth/sign-out", "/auth"),
            ("/auth/sign-in/code", "/auth/sign-in/email"),
            ("/auth/challenge/send", "/auth/challenge"),
            ("/auth/admin/keys/rotate", "/auth/admin/keys"),
            ("/auth/admin/users/1/sessions/end", "/auth/admin/users/1"),
            ("/api/auth/verify-email", "/auth"),
            ("/auth", "/auth"),
        ] {
            assert_eq!(page_of(action), page, "{action}");
        }
    }
}
