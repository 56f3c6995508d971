//! `/auth/verify-email`: the page after a link that proves a mailbox, and the form that requests
//! another link.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::account::verify_email;

use super::sign_in::with_next;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_EMAIL};
use crate::http::edge::query::Query;
use crate::http::pages::failures::MessagePage;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;

/// Where the link leads to if a page requested the mail.
pub(in crate::http::pages) const DONE: &str = "/auth/verify-email?done=verified";

#[derive(Template)]
#[template(path = "pages/verify_email.html")]
struct Verify<'p> {
    p: &'p Page,
    f: &'p Form,
}

fn told(page: &Page, title: &str, text: &str, href: &str, link: &str) -> Response {
    let told = MessagePage {
        p: page,
        title: page.t(title),
        text: page.t(text),
        code: "",
        request_id: "",
        href,
        link,
    };
    Page::answer(&told, StatusCode::OK, "")
}

pub(in crate::http::pages) async fn show(
    State(app): State<Arc<App>>,
    page: Page,
    query: Query,
) -> Result<Response, Error> {
    let next = query.redirect_to(&app)?;
    let done = query.no_longer_than("done", MAX_CODE);
    Ok(match (query.has("error"), done) {
        // A user who is already signed in continues from there at once.
        (false, Some("verified")) => told(
            &page,
            "verify.done",
            "verify.done_text",
            &with_next("/auth/sign-in", &next),
            "to_go_on",
        ),
        (true, _) => {
            let mut form = Form::new("verify");
            form.say(&page, "verify.bad_link");
            Page::answer(&Verify { p: &page, f: &form }, StatusCode::OK, "")
        }
        (false, _) => Page::answer(
            &Verify {
                p: &page,
                f: &Form::new("verify"),
            },
            StatusCode::OK,
            "",
        ),
    })
}

pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let text = body.optional_text("email", MAX_EMAIL).or_default();
    let text = body.finish(text)?;
    let mut form = Form::new("verify").filled("email", &text);
    let email = form.email(&page, "email", &text);
    let email = match form.finish(email) {
        Ok(email) => email,
        Err(error) => return Ok(Page::refuse(&Verify { p: &page, f: &form }, error, "")),
    };
    match verify_email::request(
        &app,
        &email,
        None,
        Some(app.config.server.mount.outside(DONE).into_owned()),
        &requester,
    )
    .await
    {
        Ok(()) => Ok(told(
            &page,
            "verify.sent",
            "verify.sent_text",
            "/auth/sign-in",
            "to_sign_in",
        )),
        Err(error) => {
            let error = form.refused(&page, error.into())?;
            Ok(Page::refuse(&Verify { p: &page, f: &form }, error, ""))
        }
    }
}
