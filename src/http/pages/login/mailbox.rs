//! "Check your email": the page after a form that sends a link. It names the email address, which
//! the cookie of `typed` carries past the redirect, and sends the link again.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::http::edge::error::Error;
use crate::http::edge::redirects::query_of;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::paths::with_next;
use crate::http::pages::typed;
use crate::http::pages::visitor::see_other;

#[derive(Template)]
#[template(path = "pages/mailbox.html")]
struct Shown<'p> {
    p: &'p Page,
    f: &'p Form,
    /// The text before the email address.
    before: &'p str,
    email: &'p str,
    after: &'p str,
    mailbox: &'p Mailbox,
    next: &'p str,
    query: &'p str,
}

/// What was sent, and the paths that send it again.
pub(super) struct Mailbox {
    /// The key of the text, which names the email address.
    text: &'static str,
    /// The path that the form is posted to.
    action: &'static str,
    /// The path of the form for another email address.
    other: &'static str,
}

/// The page after the form of `/auth/forgot-password`.
pub(super) const RESET: Mailbox = Mailbox {
    text: "forgot.sent_text",
    action: "/auth/forgot-password",
    other: "/auth/forgot-password",
};

/// The page after the form of `/auth/verify-email`.
pub(super) const VERIFY: Mailbox = Mailbox {
    text: "verify.sent_text",
    action: "/auth/verify-email",
    other: "/auth/verify-email",
};

/// The page after a sign-up that does not sign the user in.
pub(super) const SIGNED_UP: Mailbox = Mailbox {
    text: "sign_up.mailed_text",
    action: "/auth/verify-email",
    other: "/auth/sign-up",
};

impl Mailbox {
    /// Shows the page after the redirect.
    pub(super) fn show(&self, page: &Page, next: &str) -> Response {
        let form = Form::new("again").filled("email", &page.typed.email);
        Page::answer(
            &self.shown(page, &form, next, &query_of(next)),
            StatusCode::OK,
            "",
        )
    }

    /// Shows the page with the reason why the link was not sent again.
    pub(super) fn refuse(&self, page: &Page, form: &Form, next: &str, error: Error) -> Response {
        Page::refuse(&self.shown(page, form, next, &query_of(next)), error, "")
    }

    /// Redirects to the page; `done` is the value of the query that leads to it.
    pub(super) fn lead(&self, page: &Page, email: &str, done: &str, next: &str) -> Response {
        let mut answer = see_other(&with_next(&format!("{}?done={done}", self.action), next));
        typed::keep_email(&page.app, &page.typed, email, answer.headers_mut());
        answer
    }

    fn shown<'p>(
        &'p self,
        page: &'p Page,
        form: &'p Form,
        next: &'p str,
        query: &'p str,
    ) -> Shown<'p> {
        let email = match form.value("email") {
            "" => page.t("mailbox.yours"),
            email => email,
        };
        let text = page.t(self.text);
        let (before, after) = text.split_once("{email}").unwrap_or((text, ""));
        Shown {
            p: page,
            f: form,
            before,
            email,
            after,
            mailbox: self,
            next,
            query,
        }
    }
}

/// Returns the value of `done` for a link that was sent, or sent again.
pub(super) fn sent(again: bool) -> &'static str {
    if again { "sent_again" } else { "sent" }
}
