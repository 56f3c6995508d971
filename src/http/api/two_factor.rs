//! `/two-factor/enable`, `/get-totp-uri`, `/generate-backup-codes`, `/disable`: the second step of
//! one's own account. `second_step` has the paths that take a code.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::app::App;
use crate::flows::account::{two_factor, two_factor_session};
use crate::flows::login::enrolment;
use crate::flows::session::read_session::Accepts;
use crate::http::delivery::second_step::forget_device;
use crate::http::delivery::session_delivery::deliver_anew;
use crate::http::edge::body::Fields;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::{Acting, Credentials, required};
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_PASSWORD, MAX_WORD};

fn shown(codes: &[Zeroizing<String>]) -> Value {
    codes.iter().map(|code| code.as_str()).collect()
}

/// Makes a secret in a session, with the password; or in a pending sign-in that asks for an enrolment,
/// which a native client names in the body.
pub(in crate::http) async fn enable(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let password = body.optional_text("password", MAX_PASSWORD);
    let method = body.text_or_nothing("method", MAX_WORD);
    let method = body.check(
        "method",
        method,
        "expected totp or otp",
        |method| match method.as_deref() {
            None | Some("totp") => Some(true),
            Some("otp") => Some(false),
            Some(_) => None,
        },
    );
    let issuer = body.text_or_nothing("issuer", MAX_WORD);
    let challenge = body.text_or_nothing("challenge", MAX_WORD);
    let (password, is_totp, issuer, challenge) =
        body.finish((password, method, issuer, challenge))?;
    let (password, issuer) = (password.as_deref(), issuer.as_deref());
    let secrets: Vec<&str> = match &challenge {
        Some(challenge) => vec![challenge.as_str()],
        None => credentials.challenges.iter().map(String::as_str).collect(),
    };
    let who = if challenge.is_none() {
        credentials
            .authenticate(&app, Accepts::SessionTokenOnly)
            .await?
    } else {
        None
    };
    let enrolment = match who {
        // A pending sign-in has cleared the cookies of the session before it.
        None | Some(Err(_)) if !secrets.is_empty() && is_totp => {
            enrolment::begin(&app, &secrets, issuer, &requester).await?
        }
        who => {
            let who = required(&app, who)?;
            let acting = Acting::of(who, requester);
            let own = acting.who.own_account()?;
            if !is_totp {
                two_factor_session::begin_by_mail(&app, own, password, &acting.requester).await?;
                return Ok(Json(json!({ "method": "otp" })).into_response());
            }
            two_factor::begin(&app, own, password, issuer, &acting.requester).await?
        }
    };
    Ok(Json(json!({
        "method": "totp",
        "totpURI": enrolment.uri.as_str(),
        "backupCodes": shown(&enrolment.codes),
    }))
    .into_response())
}

pub(in crate::http) async fn get_totp_uri(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account()?;
    let password = body.optional_text("password", MAX_PASSWORD);
    let password = body.finish(password)?;
    let uri = two_factor::uri(&app, own, password.as_deref(), &requester).await?;
    Ok(Json(json!({ "totpURI": uri.as_str() })).into_response())
}

pub(in crate::http) async fn generate_backup_codes(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account()?;
    let password = body.optional_text("password", MAX_PASSWORD);
    let password = body.finish(password)?;
    let codes = two_factor::renew_codes(&app, own, password.as_deref(), &requester).await?;
    Ok(Json(json!({ "status": true, "backupCodes": shown(&codes) })).into_response())
}

pub(in crate::http) async fn disable(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account()?;
    let password = body.optional_text("password", MAX_PASSWORD);
    let password = body.finish(password)?;
    let (user, grant) =
        two_factor_session::disable(&app, own, password.as_deref(), &requester).await?;
    let view = crate::http::delivery::views::user(&user);
    let mut answer = json!({ "status": true, "user": view });
    let mut headers = HeaderMap::new();
    deliver_anew(&app, &grant, &mut answer, &mut headers);
    forget_device(&app, &credentials.remembered, &mut headers);
    // The user was for the cookie cache alone.
    if let Some(members) = answer.as_object_mut() {
        members.remove("user");
    }
    Ok((headers, Json(answer)).into_response())
}
