//! Pages that belong to the API: one that asks for confirmation before a link changes anything, one
//! that shows an error.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::failures::MessagePage;
use super::form::Form;
use super::page::Page;
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_WORD;
use crate::http::edge::query::Query;

/// The page that asks for confirmation, and posts the answer to its own URL.
#[derive(Template)]
#[template(path = "pages/confirm.html")]
pub(in crate::http) struct Confirm<'p> {
    p: &'p Page,
    question: &'p str,
    button: &'p str,
    token: &'p str,
    callback: &'p str,
}

/// Shows the page that asks before a link acts; the answer is posted to its own URL.
pub(in crate::http) fn confirm(
    p: &Page,
    question: &str,
    button: &str,
    token: &str,
    callback: Option<&str>,
) -> Response {
    let callback = callback.unwrap_or_default();
    Page::answer(
        &Confirm {
            p,
            question,
            button: p.t(button),
            token,
            callback,
        },
        StatusCode::OK,
        callback,
    )
}

/// The page of a link that proves a mailbox.
#[derive(Template)]
#[template(path = "pages/prove.html")]
struct ProvePage<'p> {
    p: &'p Page,
    f: &'p Form,
    email: &'p str,
    asks: bool,
    token: &'p str,
    callback: &'p str,
}

/// The hidden values of such a form, and why it was refused.
pub(in crate::http) struct Prove<'p> {
    pub(in crate::http) token: &'p str,
    pub(in crate::http) callback: Option<&'p str>,
    pub(in crate::http) refused: Option<Error>,
}

/// Shows the page that asks whether the mailbox is the reader's. With `asks` it also asks for the
/// password, or offers to choose a new one.
pub(in crate::http) fn prove(p: &Page, email: &str, asks: bool, form: Prove<'_>) -> Response {
    let mut f = Form::new("prove");
    let callback = form.callback.unwrap_or_default();
    let refused = match form.refused.map(|error| f.refused_at(p, "password", error)) {
        Some(Err(error)) => return error.into_response(),
        Some(Ok(error)) => Some(error),
        None => None,
    };
    let shown = ProvePage {
        p,
        f: &f,
        email,
        asks,
        token: form.token,
        callback,
    };
    match refused {
        None => Page::answer(&shown, StatusCode::OK, callback),
        Some(error) => Page::refuse(&shown, error, callback),
    }
}

/// Answers `GET …/error?error=CODE`; a text that does not look like a code is not repeated.
pub(in crate::http) async fn error(page: Page, query: Query) -> Response {
    let is_plain = |code: &&str| {
        code.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_'-".contains(&b))
    };
    let code = query
        .no_longer_than("error", MAX_WORD)
        .filter(is_plain)
        .unwrap_or("UNKNOWN");
    let text = page
        .meaning(&code.to_ascii_uppercase())
        .unwrap_or_else(|| page.t("fault.link_text"));
    let is_over = matches!(code, "INVALID_TOKEN" | "TOKEN_EXPIRED");
    let (href, link) = match (page.app.config.pages.enabled, is_over && page.mails()) {
        // If the pages are turned off, there is no page to continue to.
        (false, _) => ("", "to_start"),
        (true, false) => ("/auth", "to_start"),
        (true, true) => ("/auth/verify-email", "to_new_link"),
    };
    let told = MessagePage {
        p: &page,
        title: page.t(if is_over { "fault.link" } else { "fault.400" }),
        text,
        code,
        request_id: "",
        href,
        link,
    };
    Page::answer(&told, StatusCode::OK, "")
}
