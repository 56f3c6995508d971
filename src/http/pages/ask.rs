//! Pages that belong to the API: one that asks for confirmation before a link changes anything, one
//! that shows an error.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::failures::MessagePage;
use super::form::Form;
use super::page::Page;
use super::paths::{CONNECTIONS, with_next};
use super::upstream::is_about_link;
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

/// An error of a query: its title, its text, and the page on which the reader can go on.
struct Told<'p> {
    title: &'static str,
    text: &'p str,
    code: &'p str,
    href: String,
    link: &'static str,
}

/// Tells an answer of a provider that was refused; `None` for another error.
fn told_of_provider<'p>(page: &'p Page, code: &str, next: &str) -> Option<Told<'p>> {
    let word = Page::word_of(code)?;
    let (title, href, link) = if is_about_link(word) {
        let page = CONNECTIONS.to_owned();
        ("upstream_refused.link_title", page, "connect.again")
    } else if word == "email_not_verified" && page.mails() {
        let page = with_next("/auth/verify-email", next);
        ("upstream_refused.title", page, "to_new_link")
    } else {
        let page = with_next("/auth/sign-in", next);
        ("upstream_refused.title", page, "to_sign_in")
    };
    Some(Told {
        title,
        text: page.refused_text(word),
        code: word,
        href,
        link,
    })
}

/// Tells an error of a link in a mail. The code of an unknown one is not repeated.
fn told_of_link<'p>(page: &'p Page, code: &'p str) -> Told<'p> {
    let meaning = page.meaning(code);
    let is_over = matches!(code, "INVALID_TOKEN" | "TOKEN_EXPIRED");
    let (href, link) = if is_over && page.mails() {
        ("/auth/verify-email", "to_new_link")
    } else {
        ("/auth", "to_start")
    };
    Told {
        title: if is_over { "fault.link" } else { "fault.400" },
        text: meaning.unwrap_or_else(|| page.t("fault.link_text")),
        code: meaning.map_or("UNKNOWN", |_| code),
        href: href.to_owned(),
        link,
    }
}

/// Answers `GET …/error?error=CODE`, for links of mails and for answers of providers.
pub(in crate::http) async fn error(page: Page, query: Query) -> Response {
    let code = query.no_longer_than("error", MAX_WORD).unwrap_or_default();
    let next = query.redirect_to(&page.app).unwrap_or_default();
    let upper = code.to_ascii_uppercase();
    let told = told_of_provider(&page, code, &next).unwrap_or_else(|| told_of_link(&page, &upper));
    let shown = MessagePage {
        p: &page,
        title: page.t(told.title),
        text: told.text,
        code: told.code,
        request_id: "",
        // If the pages are turned off, there is no page to continue to.
        href: if page.app.config.pages.enabled {
            &told.href
        } else {
            ""
        },
        link: told.link,
    };
    Page::answer(&shown, StatusCode::OK, "")
}
