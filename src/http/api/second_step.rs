//! `/two-factor/verify-totp`, `/two-factor/verify-otp`, `/two-factor/verify-backup-code` and
//! `/two-factor/verify-password`: the second step of a sign-in, or, in a live session, the confirmation of a
//! new factor and the proof of it again.
//! `/two-factor/send-otp` mails the code.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::step_up;
use crate::flows::account::two_factor_session;
use crate::flows::login::second_step as flow;
use crate::flows::login::second_step::{Code, Verified};
use crate::flows::login::step_code;
use crate::flows::session::read_session::Accepts;
use crate::http::delivery::second_step as delivery;
use crate::http::delivery::session_delivery::{Replaced, deliver_anew};
use crate::http::delivery::views;
use crate::http::edge::body::{Fields, Optional};
use crate::http::edge::client::Client;
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_DEVICE_TOKEN, MAX_PASSWORD, MAX_WORD};
use crate::http::edge::unchecked::Unchecked;
use crate::model::audit::event::Requester;

/// Which kind of code a path takes.
#[derive(Clone, Copy)]
enum Kind {
    Totp,
    Recovery,
    Mailed,
    Password,
}

impl Kind {
    /// Reads what was typed.
    fn read(self, body: &mut Fields) -> Unchecked<String> {
        match self {
            Self::Totp | Self::Recovery | Self::Mailed => body.text("code", MAX_WORD),
            Self::Password => body.text("password", MAX_PASSWORD),
        }
    }

    fn code(self, typed: &str) -> Code<'_> {
        match self {
            Self::Totp => Code::Totp(typed),
            Self::Recovery => Code::Recovery(typed),
            Self::Mailed => Code::Mailed(typed),
            Self::Password => Code::Password(typed),
        }
    }
}

pub(in crate::http) async fn verify_totp(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    body: Fields,
) -> Result<Response, Error> {
    verify(&app, Kind::Totp, &credentials, &requester, body).await
}

pub(in crate::http) async fn verify_backup_code(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    body: Fields,
) -> Result<Response, Error> {
    verify(&app, Kind::Recovery, &credentials, &requester, body).await
}

pub(in crate::http) async fn verify_otp(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    body: Fields,
) -> Result<Response, Error> {
    verify(&app, Kind::Mailed, &credentials, &requester, body).await
}

/// Takes the password where a sign-in began with a passkey. It is ours: in Better Auth no sign-in does.
pub(in crate::http) async fn verify_password(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    body: Fields,
) -> Result<Response, Error> {
    verify(&app, Kind::Password, &credentials, &requester, body).await
}

/// Mails a code for the pending sign-in or, in a live session, for a new proof.
pub(in crate::http) async fn send_otp(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Optional(mut body): Optional,
) -> Result<Response, Error> {
    let challenge = body.text_or_nothing("challenge", MAX_WORD);
    let challenge = body.finish(challenge)?;
    let sent = json!({ "status": true });
    if challenge.is_none() {
        let who = credentials
            .authenticate(&app, Accepts::SessionTokenOnly)
            .await?;
        if let Some(Ok(who)) = who {
            let acting = Acting::of(who, requester.clone());
            let own = acting.who.own_account()?;
            two_factor_session::send_code(&app, own, &requester).await?;
            return Ok(Json(sent).into_response());
        }
    }
    let secrets: Vec<&str> = match &challenge {
        Some(challenge) => vec![challenge.as_str()],
        None => credentials.challenges.iter().map(String::as_str).collect(),
    };
    step_code::send(&app, &secrets, &requester).await?;
    Ok(Json(sent).into_response())
}

/// Verifies a code or the password. A native client names the pending sign-in in the body. In a browser a live session comes first,
/// as in Better Auth: a pending sign-in has cleared the cookies of the session before it.
async fn verify(
    app: &Arc<App>,
    kind: Kind,
    credentials: &Credentials,
    requester: &Requester,
    mut body: Fields,
) -> Result<Response, Error> {
    let code = kind.read(&mut body);
    let remember = body.optional_bool("trustDevice").or(false);
    let challenge = body.text_or_nothing("challenge", MAX_WORD);
    let device = body.text_or_nothing("deviceToken", MAX_DEVICE_TOKEN);
    let (code, remember, challenge, device) = body.finish((code, remember, challenge, device))?;
    if challenge.is_none() {
        let who = credentials
            .authenticate(app, Accepts::SessionTokenOnly)
            .await?;
        if let Some(Ok(who)) = who {
            let acting = Acting::of(who, requester.clone());
            return in_session(app, &acting, kind.code(&code)).await;
        }
    }
    let secrets: Vec<&str> = match &challenge {
        Some(challenge) => vec![challenge.as_str()],
        None => credentials.challenges.iter().map(String::as_str).collect(),
    };
    let presented = Replaced::of(credentials).with_device(device.as_deref());
    let outcome = flow::verify(
        app,
        &secrets,
        kind.code(&code),
        remember,
        presented.borrow(),
        requester,
    )
    .await;
    let completed = match outcome {
        Err(Refused::TooManyAttempts) => {
            let mut headers = HeaderMap::new();
            delivery::forget_challenge(app, &mut headers);
            return Ok((headers, Error::Flow(Refused::TooManyAttempts)).into_response());
        }
        outcome => match outcome? {
            Verified::Done(completed) => completed,
            // The pending sign-in goes on under the same secret.
            Verified::More(waiting) => {
                return Ok(Json(delivery::asked(waiting.steps)).into_response());
            }
        },
    };
    let grant = &completed.tokens;
    let mut answer =
        json!({ "token": grant.session_token.expose(), "user": views::user(&completed.user) });
    let mut headers = HeaderMap::new();
    presented.deliver(app, grant, &mut answer, &mut headers);
    delivery::completed(app, &completed, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}

async fn in_session(app: &App, acting: &Acting, code: Code<'_>) -> Result<Response, Error> {
    let Acting { who, requester } = acting;
    let own = who.own_account()?;
    let (user, grant) = match code {
        Code::Totp(code) => two_factor_session::confirm(app, own, code, requester).await?,
        Code::Password(password) => step_up::by_password(app, own, password, requester).await?,
        _ => two_factor_session::step_up(app, own, code, requester).await?,
    };
    let mut answer = json!({ "token": grant.session_token.expose(), "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    deliver_anew(app, &grant, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}
