//! Errors as pages: every error under `/auth` that no form shows, and errors of the API if a
//! browser navigates to it. These pages need neither a cookie nor the database.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use url::Url;

use crate::app::App;

use super::page::{Page, put};
use super::paths::page_of;
use super::visitor::Renewed;
use crate::http::edge::demand;
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

/// Returns the keys of title and text for an error.
fn words_of(failure: &Failure) -> (&'static str, &'static str) {
    let (status, code) = (failure.status, failure.code());
    match code {
        "SESSION_NOT_FRESH" if is_of_admin(failure) => return ("fault.403", "fault.acting_text"),
        "SESSION_NOT_FRESH" => return ("fault.again", "fault.403_text"),
        "UPSTREAM_UNAVAILABLE" => return ("upstream_refused.title", "fault.503_text"),
        // The settings do not offer it; nothing is wrong with the request.
        "EMAIL_PASSWORD_SIGN_UP_DISABLED"
        | "RESET_PASSWORD_DISABLED"
        | "VERIFICATION_EMAIL_NOT_ENABLED"
        | "EMAIL_SIGN_IN_DISABLED"
        | "CHANGE_EMAIL_DISABLED"
        | "PROVIDER_NOT_FOUND" => return ("fault.off", "fault.404_text"),
        _ => {}
    }
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

/// Returns whether an admin acts as a user and has signed in too long ago. No demand goes with that
/// refusal: the user of the session could not meet it.
fn is_of_admin(failure: &Failure) -> bool {
    failure.code() == "SESSION_NOT_FRESH" && failure.demand().is_none()
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
        .map(|path| app.config.server.mount.inside(&path).into_owned())
        .filter(|path| path.starts_with("/auth/"));
    own.map(|path| query_of(&app.config.server.mount.outside(&path)).replacen('?', "&", 1))
        .unwrap_or_default()
}

/// Returns whether the header `Accept` names this media type. A quality of zero is not looked for:
/// no browser sends it.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|media| media.trim().eq_ignore_ascii_case(wanted))
}

/// Returns whether a browser requests a page to show to a person: by its Fetch Metadata, and in
/// browsers that send none because `Accept` names HTML. `*/*` counts for nothing, because programs
/// send it.
fn is_navigation(headers: &HeaderMap) -> bool {
    mode_of(headers).map_or_else(|| accepts(headers, "text/html"), |mode| mode == "navigate")
}

/// Returns the mode of the Fetch Metadata, which every present browser sends.
fn mode_of(headers: &HeaderMap) -> Option<&str> {
    headers.get("sec-fetch-mode")?.to_str().ok()
}

/// Returns whether a program reads the answer: one that asks for JSON and not for HTML.
pub(super) fn is_program(headers: &HeaderMap) -> bool {
    !is_navigation(headers)
        && accepts(headers, "application/json")
        && !accepts(headers, "text/html")
}

/// Returns the link of the page of an error, and the key of its text: to where the reader can do
/// something about it.
fn way_on(page: &Page, failure: &Failure, path: &str, back: &str) -> (String, &'static str) {
    let code = failure.code();
    let config = &page.app.config;
    // If the pages are turned off, there is no page to continue to.
    if !config.pages.enabled {
        return (String::new(), "to_start");
    }
    match code {
        // If the session was proven too long ago, the page leads to where it is proven again.
        "SESSION_NOT_FRESH" if !is_of_admin(failure) => {
            let demand = failure.demand().map(demand::to_query);
            let page = format!("/auth/step-up?{}{back}", demand.unwrap_or_default());
            (page, "to_step_up")
        }
        "INVALID_FORM_TOKEN" => (page_of(path), "to_form"),
        "INVALID_TOKEN" | "TOKEN_EXPIRED" if page.mails() => another_link(path),
        _ => ("/auth".to_owned(), "to_start"),
    }
}

/// Returns the page that sends another link, for a link of a mail that led to this path.
fn another_link(path: &str) -> (String, &'static str) {
    if path.contains("/reset-password") {
        ("/auth/forgot-password".to_owned(), "to_new_link")
    } else if path.contains("/magic-link") {
        ("/auth/sign-in/email".to_owned(), "to_new_link")
    } else if path.contains("/delete-user") {
        ("/auth/account".to_owned(), "to_account")
    } else {
        ("/auth/verify-email".to_owned(), "to_new_link")
    }
}

/// What the page of an error needs of its request.
pub(in crate::http) struct ErrorPage {
    page: Page,
    back: String,
    renewed: Renewed,
    path: String,
    is_program: bool,
}

impl ErrorPage {
    /// Prepares the page of a request to the pages.
    pub(in crate::http) async fn of(app: &Arc<App>, request: Request) -> (Self, Request) {
        let (mut parts, body) = request.into_parts();
        let (back, renewed) = (back_to(app, &parts), Renewed::default());
        let (path, is_program) = (parts.uri.path().to_owned(), is_program(&parts.headers));
        parts.extensions.insert(renewed.clone());
        let Ok(page) = Page::from_request_parts(&mut parts, app).await;
        let prepared = Self {
            page,
            back,
            renewed,
            path,
            is_program,
        };
        (prepared, Request::from_parts(parts, body))
    }

    /// Prepares the page of a request outside the pages, if a person is to see it; programs get
    /// the error as it is.
    pub(in crate::http) async fn for_people(
        app: &Arc<App>,
        request: Request,
    ) -> (Option<Self>, Request) {
        let path = request.uri().path();
        let is_page = app.config.pages.enabled && (path == "/auth" || path.starts_with("/auth/"));
        // Programs call the API, and some name HTML in `Accept` without a wish of their own (Java's
        // `HttpURLConnection` does): there, only the Fetch Metadata of a browser count.
        let navigates = if app.config.server.mount.is_of_api(path) {
            mode_of(request.headers()) == Some("navigate")
        } else {
            is_navigation(request.headers())
        };
        if is_page || navigates {
            let (prepared, request) = Self::of(app, request).await;
            (Some(prepared), request)
        } else {
            (None, request)
        }
    }

    /// Shows the error of an answer as a page, if it has one that no page shows yet.
    pub(in crate::http) fn show(self, app: &App, mut response: Response) -> Response {
        let page = self.page;
        self.renewed.put(app, &mut response);
        let Some(failure) = response
            .extensions()
            .get::<Failure>()
            .filter(|failure| !failure.shown && !self.is_program)
            .cloned()
        else {
            return response;
        };
        let (title, text) = words_of(&failure);
        let (href, link) = way_on(&page, &failure, &self.path, &self.back);
        let told = MessagePage {
            p: &page,
            title: page.t(title),
            text: failure
                .advice()
                .or_else(|| {
                    page.meaning(failure.code())
                        .filter(|_| !is_of_admin(&failure))
                })
                .unwrap_or_else(|| page.t(text)),
            code: failure.code(),
            request_id: if failure.status.is_server_error() {
                &page.request_id
            } else {
                ""
            },
            href: &href,
            link,
        };
        if let Ok(body) = told.render() {
            put(&mut response, body, &[]);
        }
        response
    }
}
