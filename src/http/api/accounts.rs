//! `/sign-up/email`, `/sign-in/email`, `/sign-out`, `/change-password`: the Better Auth contract,
//! with the tokens of this service added to its answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::account::{change_password as change, sign_up as flow_up};
use crate::flows::login::sign_in as flow_in;
use crate::flows::login::sign_in::SignedIn;
use crate::flows::permit::to;
use crate::http::delivery::device::{know_again, remember_asker};
use crate::http::delivery::second_step;
use crate::http::delivery::session_delivery::{Replaced, deliver_anew, session_options};
use crate::http::delivery::signed_out::end_all;
use crate::http::delivery::views;
use crate::http::edge::body::{Fields, Optional, Submitted};
use crate::http::edge::client::Client;
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::header_text;
use crate::http::edge::limits::{MAX_ACCESS_TOKEN, MAX_DEVICE_TOKEN, MAX_EMAIL, MAX_PASSWORD};
use crate::model::account::email::Email;
use crate::model::session::session::Delivery;

pub(in crate::http) async fn sign_up(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    body.refuse_privileged()?;
    let name = body.needed_text("name");
    let email = body.email("email");
    let password = body.text("password", MAX_PASSWORD);
    let image = body.checked_text("image");
    let session = session_options(&mut body);
    let (name, email, password, image, (options, callback)) =
        body.finish((name, email, password, image, session))?;
    let form = flow_up::Form {
        name,
        email,
        password,
        image,
        callback,
    };
    let presented = Replaced::of(&credentials);
    let (user, grant) =
        flow_up::sign_up(&app, form, options, presented.borrow(), &requester).await?;
    let mut answer = json!({ "token": grant.as_ref().map(|g| g.session_token.expose()), "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    if let Some(grant) = &grant {
        presented.deliver(&app, grant, &mut answer, &mut headers);
    } else if options.delivery == Delivery::Cookie {
        remember_asker(&app, &user, options.remember, &mut headers);
    }
    Ok((headers, Json(answer)).into_response())
}

pub(in crate::http) async fn sign_in(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let email = body.text("email", MAX_EMAIL);
    let password = body.text("password", MAX_PASSWORD);
    let session = session_options(&mut body);
    let device = body.text_or_nothing("deviceToken", MAX_DEVICE_TOKEN);
    let remembered = body.text_or_nothing("trustedDeviceToken", MAX_DEVICE_TOKEN);
    let (email, password, (options, callback), device, remembered) =
        body.finish((email, password, session, device, remembered))?;
    let email: Email = email
        .parse()
        .map_err(|_| crate::flows::Error::InvalidEmail)?;
    let presented = Replaced::of(&credentials)
        .with_device(device.as_deref())
        .with_remembered(remembered.as_deref());
    let signed_in = flow_in::sign_in(
        &app,
        &email,
        &password,
        options,
        presented.borrow(),
        &requester,
    )
    .await?;
    let (user, grant) = match signed_in {
        SignedIn::Session(user, grant) => (user, grant),
        SignedIn::Pending(pending) => {
            let headers = second_step::pending(&app, &presented, &pending);
            return Ok((headers, Json(second_step::answer(&pending))).into_response());
        }
    };
    let mut answer = json!({ "redirect": callback.is_some(), "token": grant.session_token.expose(), "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    if let Some(callback) = callback {
        headers.insert(
            header::LOCATION,
            header_text::location(&app.config.server.mount.given(&callback)),
        );
        answer["url"] = callback.into();
    }
    presented.deliver(&app, &grant, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}

pub(in crate::http) async fn sign_out(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Optional(mut body): Optional,
) -> Result<Response, Error> {
    let tokens = TOKENS.map(|name| body.nullable_text(name, MAX_ACCESS_TOKEN));
    let in_body: Vec<String> = body
        .finish(tokens)?
        .into_iter()
        .flatten()
        .filter(|token| !token.is_empty())
        .collect();
    let headers = end_all(&app, &credentials, &in_body, &requester).await?;
    Ok((headers, Json(json!({ "success": true }))).into_response())
}

/// Names under which clients send a session's token in the body of a sign-out.
const TOKENS: [&str; 5] = [
    "refreshToken",
    "refresh_token",
    "token",
    "accessToken",
    "access_token",
];

pub(in crate::http) async fn change_password(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_way_in::<to::SetPassword>(&app)?;
    let current = body.text("currentPassword", MAX_PASSWORD);
    let new = body.text("newPassword", MAX_PASSWORD);
    let move_session = body.optional_bool("revokeOtherSessions").or(false);
    let (current, new, move_session) = body.finish((current, new, move_session))?;
    let (user, grant) =
        change::change_password(&app, own, &current, &new, move_session, &requester).await?;
    let mut answer = json!({ "token": grant.as_ref().map(|g| g.session_token.expose()), "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    match &grant {
        Some(grant) => deliver_anew(&app, grant, &mut answer, &mut headers),
        None => know_again(&app, &who.session, &user, &mut answer, &mut headers),
    }
    Ok((headers, Json(answer)).into_response())
}
