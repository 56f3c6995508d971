//! Pages that belong to the API: one that asks before a link changes anything, one that tells an error.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::query::Query;
use super::failures::Told;
use super::page::Page;

/// Asks, and posts the answer to where it was asked.
#[derive(Template)]
#[template(path = "pages/confirm.html")]
pub(in crate::http) struct Confirm<'p> {
    p: &'p Page,
    question: &'p str,
    button: &'p str,
    token: &'p str,
    callback: &'p str,
}

/// Whether somebody means it: the answer is posted to where it was asked.
pub(in crate::http) fn confirm(p: &Page, question: &str, button: &str, token: &str, callback: Option<&str>) -> Response {
    let callback = callback.unwrap_or_default();
    Page::answer(&Confirm { p, question, button: p.t(button), token, callback }, StatusCode::OK, callback)
}

/// `GET …/error?error=CODE`: only what looks like a code is repeated.
pub(in crate::http) async fn error(page: Page, query: Query) -> Response {
    let plain = |code: &&str| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_'-".contains(&b));
    let code = query.one("error").filter(plain).unwrap_or("UNKNOWN");
    let text = page.meaning(&code.to_ascii_uppercase()).unwrap_or_else(|| page.t("fault.link_text"));
    // Where the pages are turned off there is nowhere to go on to.
    let href = if page.app.config.pages.enabled { "/auth" } else { "" };
    let told = Told { p: &page, title: page.t("fault.400"), text, code, request_id: "", href, link: "to_start" };
    Page::answer(&told, StatusCode::OK, "")
}
