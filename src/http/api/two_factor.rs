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
use crate::flows::Error as Refused;
use crate::flows::account::{two_factor, two_factor_session};
use crate::http::delivery::second_step::forget_device;
use crate::http::delivery::session_delivery::deliver_anew;
use crate::http::edge::body::{Fields, Optional};
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_PASSWORD, MAX_WORD};

fn shown(codes: &[Zeroizing<String>]) -> Value {
    codes.iter().map(|code| code.as_str()).collect()
}

pub(in crate::http) async fn enable(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account()?;
    let password = body.text("password", MAX_PASSWORD);
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
    let (password, is_totp, issuer) = body.finish((password, method, issuer))?;
    if !is_totp {
        return Err(Refused::OtpNotConfigured.into());
    }
    let issuer = issuer.as_deref();
    let enrolment = two_factor::begin(&app, own, &password, issuer, &requester).await?;
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
    let password = body.text("password", MAX_PASSWORD);
    let password = body.finish(password)?;
    let uri = two_factor::uri(&app, own, &password, &requester).await?;
    Ok(Json(json!({ "totpURI": uri.as_str() })).into_response())
}

pub(in crate::http) async fn generate_backup_codes(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account()?;
    let password = body.text("password", MAX_PASSWORD);
    let password = body.finish(password)?;
    let codes = two_factor::renew_codes(&app, own, &password, &requester).await?;
    Ok(Json(json!({ "status": true, "backupCodes": shown(&codes) })).into_response())
}

pub(in crate::http) async fn disable(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account()?;
    let password = body.text("password", MAX_PASSWORD);
    let password = body.finish(password)?;
    let (user, grant) = two_factor_session::disable(&app, own, &password, &requester).await?;
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

/// Refuses a code by mail: the second step takes codes of an authenticator app and recovery codes.
pub(in crate::http) async fn otp_not_configured(
    _: State<Arc<App>>,
    Optional(body): Optional,
) -> Result<Response, Error> {
    drop(body);
    Err(Refused::OtpNotConfigured.into())
}
