//! The answer of the API to a sign-in: a session, or the secret of one that waits for its second step.

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::session_delivery::Replaced;
use super::{second_step, views};
use crate::app::App;
use crate::flows::login::sign_in::SignedIn;

/// Makes the answer; `more` is what it says of a session beside the token and the user.
pub(in crate::http) fn answer(
    app: &App,
    signed_in: &SignedIn,
    replaced: &Replaced<'_>,
    more: impl FnOnce(&mut Value),
) -> Response {
    let (user, grant) = match signed_in {
        SignedIn::Session(user, grant) => (user, grant),
        SignedIn::Pending(pending) => {
            let headers = second_step::pending(app, replaced, pending);
            return (headers, Json(second_step::answer(pending))).into_response();
        }
    };
    let mut answer = json!({ "token": grant.session_token.expose(), "user": views::user(user) });
    let mut headers = HeaderMap::new();
    more(&mut answer);
    replaced.deliver(app, grant, &mut answer, &mut headers);
    (headers, Json(answer)).into_response()
}
