//! `/auth/challenge`: the second step of a sign-in, with a code of the authenticator app or with a
//! recovery code. A cookie of the sign-in page says which sign-in waits for it; without one the
//! visitor begins again on the sign-in page.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::login::second_step;
use crate::flows::login::second_step::Code;
use crate::http::delivery::second_step::{completed, forget_challenge};
use crate::http::delivery::session_delivery::Replaced;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_WORD};
use crate::http::edge::query::Query;
use crate::http::edge::redirects::query_of;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::paths::with_next;
use crate::http::pages::visitor::see_other;
use crate::model::login::gate::Steps;

use super::sign_in::{onward, welcome};

/// The path of the page that asks for a code of the authenticator app.
const OWN: &str = "/auth/challenge";

/// The path of the page that asks for a recovery code.
const BY_RECOVERY: &str = "/auth/challenge?with=recovery";

#[derive(Template)]
#[template(path = "pages/challenge.html")]
struct Challenge<'p> {
    p: &'p Page,
    f: &'p Form,
    next: &'p str,
    query: &'p str,
    by_recovery: bool,
    /// The page for the other kind of code; empty if the user has none of that kind.
    other: String,
    /// For how long the browser can be remembered, in words; empty if the settings do not allow it.
    remember: String,
}

/// Returns the form for one of the two kinds of code.
fn form_for(by_recovery: bool) -> Form {
    Form::new(if by_recovery { "recovery" } else { "challenge" })
}

fn secrets(credentials: &Credentials) -> Vec<&str> {
    credentials.challenges.iter().map(String::as_str).collect()
}

/// Shows a form, with the reason if it was refused.
fn challenge(
    page: &Page,
    form: &Form,
    next: &str,
    steps: Steps,
    refused: Option<Error>,
) -> Response {
    let by_recovery = form.id() == "recovery";
    let other = match by_recovery {
        true if steps.contains(Steps::TOTP) => with_next(OWN, next),
        false if steps.contains(Steps::RECOVERY_CODE) => with_next(BY_RECOVERY, next),
        _ => String::new(),
    };
    let shown = Challenge {
        p: page,
        f: form,
        next,
        query: &query_of(next),
        by_recovery,
        other,
        remember: page.remembered_for(),
    };
    let leads_to = onward(&page.app, next);
    match refused {
        None => Page::answer(&shown, StatusCode::OK, leads_to),
        Some(error) => Page::refuse(&shown, error, leads_to),
    }
}

/// Redirects to the sign-in page if the sign-in cannot be finished any more; returns every other
/// error.
fn over(app: &App, next: &str, error: Refused) -> Result<Response, Error> {
    let done = match error {
        Refused::InvalidTwoFactorCookie => "challenge_over",
        Refused::TooManyAttempts => "challenge_spent",
        error => return Err(error.into()),
    };
    let mut headers = HeaderMap::new();
    forget_challenge(app, &mut headers);
    let sign_in = with_next(&format!("/auth/sign-in?done={done}"), next);
    Ok((headers, see_other(&sign_in)).into_response())
}

/// Shows the form for the code that the query asks for, or for the only kind that leads further.
pub(in crate::http::pages) async fn show(
    State(app): State<Arc<App>>,
    page: Page,
    credentials: Credentials,
    query: Query,
) -> Result<Response, Error> {
    let next = query.redirect_to(&app)?;
    let steps = match second_step::look(&app, &secrets(&credentials)).await {
        Ok(waiting) => waiting.steps,
        Err(error) => return over(&app, &next, error),
    };
    let asked = query.no_longer_than("with", MAX_WORD) == Some("recovery");
    let form = form_for(asked || !steps.contains(Steps::TOTP));
    Ok(challenge(&page, &form, &next, steps, None))
}

/// Finishes the sign-in with a code, or shows the form again with the reason.
pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    let code = body.optional_text("code", MAX_CODE).or_default();
    let recovery = body.optional_text("recovery", MAX_CODE);
    let remember = body.has("trust");
    let (code, recovery) = body.finish((code, recovery))?;
    let by_recovery = recovery.is_some();
    let trust = if remember { "yes" } else { "no" };
    let mut form = form_for(by_recovery).filled("trust", trust);
    let checked = match recovery {
        Some(recovery) => form.required(&page, "recovery", recovery),
        None => form.six_digits(&page, "code", &code),
    };
    let text = match form.finish(checked) {
        Ok(text) => text,
        Err(error) => return again(&page, &form, &next, &credentials, error).await,
    };
    let code = if by_recovery {
        Code::Recovery(&text)
    } else {
        Code::Totp(&text)
    };
    let presented = Replaced::of(&credentials);
    let secrets = secrets(&credentials);
    match second_step::verify(
        &app,
        &secrets,
        code,
        remember,
        presented.borrow(),
        &requester,
    )
    .await
    {
        Ok(done) => {
            let mut answer = welcome(&page, &presented, &done.tokens, &done.user, &next);
            let mut told = serde_json::Value::Null;
            completed(&app, &done, &mut told, answer.headers_mut());
            Ok(answer)
        }
        Err(error @ (Refused::InvalidTwoFactorCookie | Refused::TooManyAttempts)) => {
            over(&app, &next, error)
        }
        Err(error) => {
            let error = form.refused(&page, error.into())?;
            again(&page, &form, &next, &credentials, error).await
        }
    }
}

/// Shows a refused form, as long as the sign-in can still be finished.
async fn again(
    page: &Page,
    form: &Form,
    next: &str,
    credentials: &Credentials,
    error: Error,
) -> Result<Response, Error> {
    match second_step::look(&page.app, &secrets(credentials)).await {
        Ok(waiting) => Ok(challenge(page, form, next, waiting.steps, Some(error))),
        Err(error) => over(&page.app, next, error),
    }
}
