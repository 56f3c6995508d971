//! `/auth/sign-in/email`: the form that sends a link and a code to a mailbox. After it, the same
//! path shows the page of `enter_code`; the cookie of `typed` carries the email address past the
//! redirect, and another cookie ties link and code to this browser.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::login::email_code;
use crate::flows::login::email_code::{Callbacks, Wanted};
use crate::http::delivery::email_code::{Held, bind};
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_EMAIL};
use crate::http::edge::query::Query;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::paths::with_next;
use crate::http::pages::typed;
use crate::http::pages::visitor::{MaybeSignedIn, see_other};
use crate::model::login::email_code::CodePurpose;

use super::enter_code::{Forms, require};
use super::mailbox::sent;
use super::sign_in::{BY_MAIL, BY_PASSWORD, form_of, onward};

#[derive(Template)]
#[template(path = "pages/email_sign_in.html")]
struct EmailSignIn<'p> {
    p: &'p Page,
    f: &'p Form,
    next: &'p str,
    /// The form for the password.
    by_password: String,
    /// Whether the visitor is signed in and proves the mailbox again.
    again: bool,
}

/// Shows the form for the email address, with the reason if it was refused.
fn ask(page: &Page, form: &Form, next: &str, again: bool, refused: Option<Error>) -> Response {
    let shown = EmailSignIn {
        p: page,
        f: form,
        next,
        by_password: form_of(BY_PASSWORD, again, next),
        again,
    };
    match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    }
}

/// Shows the form for the email address; after a mail was sent, the page that takes the code.
pub(in crate::http::pages) async fn show(
    State(app): State<Arc<App>>,
    page: Page,
    MaybeSignedIn(who): MaybeSignedIn,
    query: Query,
) -> Result<Response, Error> {
    require(&page)?;
    let next = query.redirect_to(&app)?;
    let email = &page.typed.email;
    let done = query.no_longer_than("done", MAX_CODE);
    let is_sent = matches!(done, Some("sent" | "sent_again")) && !query.has("error");
    if is_sent && !email.is_empty() {
        return Ok(Forms::of(email).show(&page, &next, who.is_some(), None));
    }
    // `again`: the mailbox has to be proven again. The link of a mail that was used up leads here,
    // too, if the user goes back to it.
    if who.is_some() && !query.flag("again") && !is_sent {
        return Ok(see_other(onward(&app, &next)));
    }
    let own = who.as_ref().map(|who| who.user.email.as_str());
    let mut form = Form::new("email-sign-in").filled("email", own.unwrap_or(email));
    match query.no_longer_than("error", MAX_CODE) {
        Some("new_user_signup_disabled") => form.say(&page, "error.NEW_USER_SIGNUP_DISABLED"),
        Some(_) => form.say(&page, "email_sign_in.bad_link"),
        None => {}
    }
    Ok(ask(&page, &form, &next, who.is_some(), None))
}

/// Returns where the link of the mail leads: where the sign-in leads; if it is no longer valid, to
/// the form for another mail.
fn callbacks(app: &App, next: &str) -> Callbacks {
    let mount = &app.config.server.mount;
    let done = if next.is_empty() {
        mount.outside(&app.config.pages.home).into_owned()
    } else {
        next.to_owned()
    };
    Callbacks {
        done: Some(done),
        new_user: None,
        failed: Some(with_next(&mount.outside(BY_MAIL), next)),
    }
}

/// Sends the mail, and redirects to the page that takes the code.
pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    require(&page)?;
    let next = body.redirect_to(&app)?;
    let is_again = body.has("again");
    let text = body.optional_text("email", MAX_EMAIL).or_default();
    let text = body.finish(text)?;
    let mut form =
        Form::new(if is_again { "again" } else { "email-sign-in" }).filled("email", &text);
    let refuse = |form: Form, error| {
        if is_again {
            let again = form;
            let forms = Forms {
                again,
                ..Forms::of(&text)
            };
            return forms.show(&page, &next, false, Some(error));
        }
        ask(&page, &form, &next, false, Some(error))
    };
    let email = form.email(&page, "email", &text);
    let email = match form.finish(email) {
        Ok(email) => email,
        Err(error) => return Ok(refuse(form, error)),
    };
    let wanted = Wanted {
        email,
        purpose: CodePurpose::SignIn,
        has_link: true,
        name: None,
        callbacks: callbacks(&app, &next),
    };
    let held = Held::of(&credentials, None, None);
    match email_code::request(&app, wanted, held.borrow(), &requester).await {
        Ok(asked) => {
            let page_of_code = with_next(&format!("{BY_MAIL}?done={}", sent(is_again)), &next);
            let mut answer = see_other(&page_of_code);
            bind(&app, &asked, answer.headers_mut());
            typed::keep_email(&app, &page.typed, &text, answer.headers_mut());
            Ok(answer)
        }
        Err(error) => {
            let error = form.refused(&page, error.into())?;
            Ok(refuse(form, error))
        }
    }
}
