//! What the paths of ceremonies with passkeys share: the members that they read, and the step of a pending
//! sign-in.

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::login::second_step as flow;
use crate::flows::login::second_step::{Code, Verified};
use crate::flows::session::open_session::SessionTokens;
use crate::http::delivery::passkeys as delivery;
use crate::http::delivery::second_step;
use crate::http::delivery::session_delivery::Replaced;
use crate::http::delivery::views;
use crate::http::edge::body::Fields;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_DEVICE_TOKEN, MAX_STATE, MAX_WORD};
use crate::http::edge::query::Query;
use crate::http::edge::unchecked::Unchecked;
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::session::session::Delivery;

/// What the query of both kinds of options says.
pub(super) struct Asked {
    pub(super) delivery: Delivery,
    pub(super) challenge: Option<String>,
}

pub(super) fn asked(query: &mut Query) -> (Unchecked<Option<Delivery>>, Unchecked<Option<String>>) {
    let delivery = query.parsed("delivery", "expected cookie or body", |word| match word {
        "cookie" => Some(Delivery::Cookie),
        "body" => Some(Delivery::Body),
        _ => None,
    });
    (delivery, query.text("challenge", MAX_WORD))
}

pub(super) fn chosen((delivery, challenge): (Option<Delivery>, Option<String>)) -> Asked {
    Asked {
        delivery: delivery.unwrap_or(Delivery::Cookie),
        challenge,
    }
}

/// Returns the secrets of the pending sign-in: that which a native client names, or those of the cookies.
pub(super) fn secrets<'s>(named: Option<&'s String>, credentials: &'s Credentials) -> Vec<&'s str> {
    match named {
        Some(challenge) => vec![challenge.as_str()],
        None => credentials.challenges.iter().map(String::as_str).collect(),
    }
}

/// The members of both kinds of answers.
pub(super) struct Sent {
    pub(super) response: Map<String, Value>,
    pub(super) state: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) device: Option<String>,
    /// Whether the device is not to be asked for a second step for a time.
    pub(super) remember: bool,
}

impl Sent {
    pub(super) fn read(body: &mut Fields) -> Unchecked<Self> {
        let response = body.object("response");
        let response = body.required("response", response);
        let state = body.text_or_nothing("state", MAX_STATE);
        let challenge = body.text_or_nothing("challenge", MAX_WORD);
        let device = body.text_or_nothing("deviceToken", MAX_DEVICE_TOKEN);
        let remember = body.optional_bool("trustDevice").or(false);
        response
            .zip(state.zip(challenge))
            .zip(device.zip(remember))
            .map(
                |((response, (state, challenge)), (device, remember))| Self {
                    response,
                    state,
                    challenge,
                    device,
                    remember,
                },
            )
    }

    /// Returns the states of the request: that of the body, or those of the cookies.
    pub(super) fn states<'s>(&'s self, credentials: &'s Credentials) -> Vec<&'s str> {
        match &self.state {
            Some(state) => vec![state.as_str()],
            None => credentials.ceremonies.iter().map(String::as_str).collect(),
        }
    }
}

/// Shows the session and the user, as Better Auth does after the use of a passkey.
pub(super) fn shown(user: &User, grant: &SessionTokens) -> Value {
    json!({
        "token": grant.session_token.expose(),
        "session": views::client_session(&grant.session),
        "user": views::user(user),
    })
}

/// Tries a passkey for a pending sign-in, and answers as that sign-in would.
pub(super) async fn in_sign_in(
    app: &App,
    code: Code<'_>,
    secrets: &[&str],
    sent: &Sent,
    credentials: &Credentials,
    requester: &Requester,
) -> Result<Response, Error> {
    let presented = Replaced::of(credentials).with_device(sent.device.as_deref());
    let remember = sent.remember;
    let outcome = flow::verify(app, secrets, code, remember, presented.borrow(), requester).await;
    let mut headers = HeaderMap::new();
    let completed = match outcome {
        Err(Refused::TooManyAttempts) => {
            second_step::forget_challenge(app, &mut headers);
            return Ok((headers, Error::Flow(Refused::TooManyAttempts)).into_response());
        }
        outcome => match outcome? {
            Verified::Done(completed) => completed,
            // The pending sign-in goes on under the same secret.
            Verified::More(waiting) => {
                delivery::forget(app, &credentials.ceremonies, &mut headers);
                return Ok((headers, Json(second_step::asked(waiting.steps))).into_response());
            }
        },
    };
    let grant = &completed.tokens;
    let mut answer = match code {
        Code::Passkey(_) => shown(&completed.user, grant),
        _ => json!({ "token": grant.session_token.expose(), "user": views::user(&completed.user) }),
    };
    presented.deliver(app, grant, &mut answer, &mut headers);
    second_step::completed(app, &completed, &mut answer, &mut headers);
    delivery::forget(app, &credentials.ceremonies, &mut headers);
    Ok((headers, Json(answer)).into_response())
}
