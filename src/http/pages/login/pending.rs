//! A sign-in that waits for a step: its secrets in this browser, a code that is tried for it, and the
//! way to the sign-in page once it is over.

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::login::second_step;
use crate::flows::login::second_step::{Code, Verified};
use crate::http::delivery::second_step::{completed, forget_challenge};
use crate::http::delivery::session_delivery::Replaced;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::pages::page::Page;
use crate::http::pages::paths::with_next;
use crate::http::pages::visitor::see_other;
use crate::model::audit::event::Requester;

use super::sign_in::welcome;

/// The page that shows what the sign-in waits for.
const PAGE: &str = "/auth/challenge";

/// Returns the secrets of the sign-ins that this browser has begun.
pub(super) fn secrets(credentials: &Credentials) -> Vec<&str> {
    credentials.challenges.iter().map(String::as_str).collect()
}

/// Redirects to the page that shows what the sign-in waits for.
pub(super) fn go_on(next: &str) -> Response {
    see_other(&with_next(PAGE, next))
}

/// Redirects to the sign-in page if the sign-in cannot be finished any more; returns every other
/// error.
pub(super) fn over(app: &App, next: &str, error: Refused) -> Result<Response, Error> {
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

/// Tries a code. A right one leads to the next step, which has a page of its own, or opens the
/// session.
pub(super) async fn verify(
    page: &Page,
    credentials: &Credentials,
    code: Code<'_>,
    remember: bool,
    next: &str,
    requester: &Requester,
) -> Result<Response, Refused> {
    let (app, presented) = (&page.app, Replaced::of(credentials));
    let secrets = secrets(credentials);
    let replaces = presented.borrow();
    match second_step::verify(app, &secrets, code, remember, replaces, requester).await? {
        Verified::More(_) => Ok(go_on(next)),
        Verified::Done(done) => {
            let mut answer = welcome(page, &presented, &done.tokens, &done.user, next);
            let mut told = serde_json::Value::Null;
            completed(app, &done, &mut told, answer.headers_mut());
            Ok(answer)
        }
    }
}
