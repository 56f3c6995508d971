//! Errors as pages: every error under `/auth` that no form shows, and errors of the API if a
//! browser navigates to it. These pages need neither a cookie nor the database.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use url::Url;

use crate::app::App;

use super::page::{Page, put};
use super::visitor::Renewed;
use crate::http::edge::error::Failure;
use crate::http::edge::redirects::query_of;

/// A message, and a link to continue.
#[derive(Template)]
#[template(path = "pages/told.html")]
pub(super) struct MessagePage<'p> {
    pub(super) p: &'p Page,
    pub(super) title: &'p str,
    pub(super) text: &'p str,
    pub(super) code: &'p str,
    pub(super) request_id: &'p str,
    pub(super) href: &'p str,
    pub(super) link: &'p str,
}

/// Returns the keys of title and text for a status.
fn words_of(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        401 => ("fault.401", "fault.401_text"),
        403 => ("fault.403", "fault.403_text"),
        404 => ("fault.404", "fault.404_text"),
        429 => ("fault.429", "fault.429_text"),
        503 => ("fault.503", "fault.503_text"),
        500..=599 => ("fault.500", "fault.500_text"),
        _ => ("fault.400", "fault.400_text"),
    }
}

/// Returns the page that a form was on, or the requested page, to return to after the sign-in.
fn back_to(app: &App, parts: &Parts) -> String {
    let from = parts
        .headers
        .get(header::REFERER)
        .and_then(|v| v.to_str().ok())
        .and_then(|text| Url::parse(text).ok())
        .map(|url| url.path().to_owned());
    let path = if parts.method == Method::POST {
        from
    } else {
        Some(parts.uri.path().to_owned())
    };
    let own = path
        .map(|path| app.config.server.mount.inside(&path).to_owned())
        .filter(|path| path.starts_with("/auth/"));
    own.map(|path| query_of(&app.config.server.mount.outside(&path)).replacen('?', "&", 1))
        .unwrap_or_default()
}

/// Returns whether a browser requests a page to show to a person. The `Accept` header is not used,
/// because programs send anything in it.
fn is_navigation(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-mode")
        .is_some_and(|mode| mode == "navigate")
}

/// Shows errors outside the pages as pages to people, and unchanged to programs.
pub(in crate::http) async fn show_to_people(
    app: State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_page = app.config.pages.enabled && (path == "/auth" || path.starts_with("/auth/"));
    if is_page || is_navigation(request.headers()) {
        show(app, request, next).await
    } else {
        next.run(request).await
    }
}

pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let (back, renewed) = (back_to(&app, &parts), Renewed::default());
    parts.extensions.insert(renewed.clone());
    let Ok(page) = Page::from_request_parts(&mut parts, &app).await;
    let mut response = next.run(Request::from_parts(parts, body)).await;
    renewed.put(&app, &mut response);
    let Some(failure) = response
        .extensions()
        .get::<Failure>()
        .filter(|failure| !failure.shown)
        .cloned()
    else {
        return response;
    };
    let (title, text) = words_of(failure.status);
    // If the password was proven too long ago, the page offers a new sign-in.
    let again = failure.code() == "SESSION_NOT_FRESH";
    let sign_in = format!("/auth/sign-in?again=1{back}");
    let told = MessagePage {
        p: &page,
        title: page.t(title),
        text: failure
            .advice()
            .or_else(|| page.meaning(failure.code()))
            .unwrap_or_else(|| page.t(text)),
        code: failure.code(),
        request_id: if failure.status.is_server_error() {
            &page.request_id
        } else {
            ""
        },
        // If the pages are turned off, there is no page to continue to.
        href: if !app.config.pages.enabled {
            ""
        } else if again {
            &sign_in
        } else {
            "/auth"
        },
        link: if again { "sign_in.title" } else { "to_start" },
    };
    if let Ok(body) = told.render() {
        put(&mut response, body, "");
    }
    response
}
