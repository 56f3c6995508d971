//! `/auth/challenge/enrol`: sets up an authenticator app in a sign-in that needs a second factor of a
//! user who has none. `/auth/challenge` offers it, and takes the first code, which finishes the
//! sign-in. A passkey, which the script adds, does so as well.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::login::enrolment;
use crate::flows::login::enrolment::Enrolment;
use crate::flows::login::second_step;
use crate::flows::login::second_step::Code;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::redirects::query_of;
use crate::http::pages::enrolment as pages;
use crate::http::pages::enrolment::Within;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::passkey::{Button, Way};
use crate::model::audit::event::Requester;
use crate::model::login::gate::Steps;

use super::pending::{go_on, over, secrets, verify};
use super::sign_in::onward;

#[derive(Template)]
#[template(path = "pages/enrol_begin.html")]
struct Begin<'p> {
    p: &'p Page,
    f: &'p Form,
    next: &'p str,
    query: &'p str,
    /// Whether an authenticator app can be set up.
    has_app: bool,
    /// Whether a secret was shown before that waits for its first code.
    has_begun: bool,
    /// Adds a passkey, where one is enough.
    passkey: Option<Button>,
}

/// Makes the button that adds a passkey; without an app it is what the page is for.
fn passkey(page: &Page, steps: Steps, next: &str) -> Option<Button> {
    let app = &page.app;
    let has_app = steps.contains(Steps::ENROL_TOTP);
    steps.contains(Steps::ENROL_PASSKEY).then(|| {
        let key = "challenge.passkey_button";
        let button = Button::new(app, Way::Add, key, onward(app, next)).with_steps(app, next);
        button.named(page).main(!has_app)
    })
}

/// Offers to set up what the steps name, with the reason if a form was refused.
fn offer(
    page: &Page,
    form: &Form,
    steps: Steps,
    next: &str,
    has_begun: bool,
    refused: Option<Error>,
) -> Response {
    let shown = Begin {
        p: page,
        f: form,
        next,
        query: &query_of(next),
        has_app: steps.contains(Steps::ENROL_TOTP),
        has_begun,
        passkey: passkey(page, steps, next),
    };
    match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    }
}

/// Shows the secret and the form for the first code.
fn secret(
    page: &Page,
    form: &Form,
    made: Enrolment,
    next: &str,
    refused: Option<Error>,
) -> Response {
    let within = Within::SignIn {
        next,
        leads_to: onward(&page.app, next),
    };
    pages::enrol(page, form, made, within, refused)
}

/// Offers to set up what the steps name, or to begin again.
pub(super) async fn show(
    page: &Page,
    steps: Steps,
    next: &str,
    credentials: &Credentials,
) -> Result<Response, Error> {
    match enrolment::unconfirmed(&page.app, &secrets(credentials)).await {
        Ok(made) => {
            let form = Form::new("enrol");
            Ok(offer(page, &form, steps, next, made.is_some(), None))
        }
        Err(error) => over(&page.app, next, error),
    }
}

/// Shows the secret again, without the recovery codes, after a first code that was refused.
pub(super) async fn again(
    page: &Page,
    next: &str,
    credentials: &Credentials,
    form: &Form,
    error: Error,
) -> Result<Response, Error> {
    match enrolment::unconfirmed(&page.app, &secrets(credentials)).await {
        Ok(Some(made)) => Ok(secret(page, form, made, next, Some(error))),
        Ok(None) => anew(page, next, credentials, form, false, error).await,
        Err(refused) => over(&page.app, next, refused),
    }
}

/// Offers to begin anew, after a first code that was refused.
async fn anew(
    page: &Page,
    next: &str,
    credentials: &Credentials,
    form: &Form,
    has_begun: bool,
    error: Error,
) -> Result<Response, Error> {
    match second_step::look(&page.app, &secrets(credentials)).await {
        Ok(waiting) => Ok(offer(
            page,
            form,
            waiting.steps,
            next,
            has_begun,
            Some(error),
        )),
        Err(refused) => over(&page.app, next, refused),
    }
}

/// Makes a secret, and shows it.
pub(in crate::http::pages) async fn begin(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    body.finish(())?;
    match enrolment::begin(&app, &secrets(&credentials), None, &requester).await {
        Ok(made) => Ok(secret(&page, &Form::new("confirm"), made, &next, None)),
        // Another step comes first, or the app was confirmed in another window.
        Err(Refused::InsufficientAuthentication | Refused::TotpAlreadyEnabled) => Ok(go_on(&next)),
        Err(error) => over(&app, &next, error),
    }
}

/// Finishes the sign-in with the first code of the secret that was made at this time.
pub(super) async fn confirm(
    page: &Page,
    next: &str,
    credentials: &Credentials,
    code: &str,
    made: &str,
    requester: &Requester,
) -> Result<Response, Error> {
    let waiting = match enrolment::unconfirmed(&page.app, &secrets(credentials)).await {
        Ok(waiting) => waiting,
        Err(error) => return over(&page.app, next, error),
    };
    let mut form = Form::new("confirm");
    // Another window has begun anew: the recovery codes of this one are no good.
    if waiting.is_some_and(|waiting| waiting.made_at.0.to_string() != made) {
        form.say(page, "security.replaced");
        let refused = Refused::TotpNotEnabled.into();
        return anew(page, next, credentials, &form, true, refused).await;
    }
    let code = form.six_digits(page, "code", code);
    let error = match form.finish(code) {
        Err(error) => error,
        Ok(code) => {
            match verify(page, credentials, Code::Totp(&code), false, next, requester).await {
                Ok(answer) => return Ok(answer),
                Err(error @ (Refused::InvalidTwoFactorCookie | Refused::TooManyAttempts)) => {
                    return over(&page.app, next, error);
                }
                Err(error) => form.refused(page, error.into())?,
            }
        }
    };
    again(page, next, credentials, &form, error).await
}
