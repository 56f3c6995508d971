//! `/auth/verify-email`: the page after a link that proves a mailbox, and the form that requests
//! another link.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::verify_email;
use crate::flows::mail::require_mail::require_mail;

use super::mailbox;
use super::mailbox::sent;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_EMAIL};
use crate::http::edge::query::Query;
use crate::http::edge::redirects::query_of;
use crate::http::pages::failures::MessagePage;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::paths::with_next;

/// Where the link leads to if a page requested the mail.
pub(in crate::http::pages) const DONE: &str = "/auth/verify-email?done=verified";

#[derive(Template)]
#[template(path = "pages/verify_email.html")]
struct Verify<'p> {
    p: &'p Page,
    f: &'p Form,
    next: &'p str,
    query: &'p str,
}

fn verified(page: &Page, next: &str) -> Response {
    let told = MessagePage {
        p: page,
        title: page.t("verify.done"),
        text: page.t("verify.done_text"),
        code: "",
        request_id: "",
        // A user who is already signed in continues from there at once.
        href: &with_next("/auth/sign-in", next),
        link: "to_go_on",
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
    let mut form = Form::new("verify").filled("email", &page.typed.email);
    if !query.has("error") && done == Some("verified") {
        return Ok(verified(&page, &next));
    }
    require_mail(&app, Refused::VerificationEmailNotEnabled)?;
    match (query.has("error"), done) {
        (false, Some("sent" | "sent_again")) => return Ok(mailbox::VERIFY.show(&page, &next)),
        (false, Some("signed_up")) => return Ok(mailbox::SIGNED_UP.show(&page, &next)),
        (true, _) => form.say(&page, "verify.bad_link"),
        (false, _) => {}
    }
    let shown = Verify {
        p: &page,
        f: &form,
        next: &next,
        query: &query_of(&next),
    };
    Ok(Page::answer(&shown, StatusCode::OK, ""))
}

pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    let is_again = body.has("again");
    let text = body.optional_text("email", MAX_EMAIL).or_default();
    let text = body.finish(text)?;
    let mut form = Form::new(if is_again { "again" } else { "verify" }).filled("email", &text);
    let refuse = |form: &Form, error| {
        if is_again {
            return mailbox::VERIFY.refuse(&page, form, &next, error);
        }
        let shown = Verify {
            p: &page,
            f: form,
            next: &next,
            query: &query_of(&next),
        };
        Page::refuse(&shown, error, "")
    };
    let email = form.email(&page, "email", &text);
    let email = match form.finish(email) {
        Ok(email) => email,
        Err(error) => return Ok(refuse(&form, error)),
    };
    let callback = with_next(&app.config.server.mount.outside(DONE), &next);
    match verify_email::request(&app, &email, None, Some(callback), &requester).await {
        Ok(()) => Ok(mailbox::VERIFY.lead(&page, &text, sent(is_again), &next)),
        Err(error) => {
            let error = form.refused(&page, error.into())?;
            Ok(refuse(&form, error))
        }
    }
}
