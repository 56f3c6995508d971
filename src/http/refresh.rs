//! `POST /refresh`: the token in the cookie or in the body, never both. A kept token is not sent again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::read_session::{self, Accepts, Credential};
use crate::flows::refresh::{self as flow, Purpose, Renewed};
use crate::flows::{self};
use crate::model::audit::Peer;
use crate::model::session::Delivery;

use super::body::Optional;
use super::client::Client;
use super::cookies::{self, Name};
use super::credentials::Credentials;
use super::error::Error;
use super::views;

pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    Client(peer): Client,
    credentials: Credentials,
    Optional(mut body): Optional,
) -> Result<Response, Error> {
    let in_body = body.optional_text("refreshToken", 1_024);
    body.finish()?;
    let in_cookies: Vec<&str> = credentials.refresh_cookies.iter().map(String::as_str).collect();
    match (in_body, in_cookies.is_empty()) {
        (Some(_), false) => Err(Error::BadRequest("Send the refresh token in the cookie or in the body, not both".into())),
        (Some(token), true) => by_body(&app, &token, &peer).await,
        (None, false) => by_cookie(&app, &credentials, &in_cookies, &peer).await,
        (None, true) => Err(flows::Error::RefreshTokenMissing.into()),
    }
}

async fn by_body(app: &App, token: &str, peer: &Peer) -> Result<Response, Error> {
    let renewed = flow::refresh(app, token, Delivery::Body, Purpose::Refresh, peer).await?;
    let mut answer = answer(&renewed);
    if let Some(token) = &renewed.refresh_token {
        answer["refreshToken"] = token.as_str().into();
        answer["refreshExpiresIn"] = renewed.ends_at().since(app.now()).as_secs().into();
    }
    Ok(Json(answer).into_response())
}

async fn by_cookie(app: &App, credentials: &Credentials, texts: &[&str], peer: &Peer) -> Result<Response, Error> {
    let outcome = match flow::choose(app, texts, None).await? {
        Some(token) => flow::refresh(app, token, Delivery::Cookie, Purpose::Refresh, peer).await,
        None => Err(flows::Error::RefreshTokenInvalid),
    };
    let session_cookie = credentials.session_cookies.first().map(String::as_str);
    let mut headers = HeaderMap::new();
    match outcome {
        Ok(renewed) => {
            set_cookies(app, &renewed, session_cookie, &mut headers);
            Ok((headers, Json(answer(&renewed))).into_response())
        }
        Err(error) if is_final(&error) => {
            // A session cookie that still lives belongs to another session: only the refresh cookie goes.
            let other_lives = match session_cookie {
                Some(cookie) => read_session::authenticate(app, Credential::Cookie(cookie), Accepts::SessionTokenOnly).await?.is_ok(),
                None => false,
            };
            cookies::clear(app, &mut headers, other_lives);
            Ok((headers, Error::Flow(error)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// After these the client has nothing to come back with.
fn is_final(error: &flows::Error) -> bool {
    use flows::Error as E;
    matches!(error, E::RefreshTokenInvalid | E::RefreshTokenExpired | E::RefreshTokenRevoked | E::RefreshTokenReused)
}

fn set_cookies(app: &App, renewed: &Renewed, session_cookie: Option<&str>, headers: &mut HeaderMap) {
    let until = |at| renewed.session.remember.then_some(at);
    if let Some(cookie) = session_cookie.and_then(|signed| flow::renew_session_cookie(app, renewed, signed)) {
        cookies::set(app, headers, Name::Session, &cookie, until(renewed.ends_at()));
    }
    if let Some(token) = &renewed.refresh_token {
        cookies::set(app, headers, Name::Refresh, token, until(renewed.session.state.expires_at));
    }
}

fn answer(renewed: &Renewed) -> serde_json::Value {
    json!({
        "accessToken": renewed.access.token,
        "tokenType": "Bearer",
        "expiresIn": renewed.access.expires_in,
        "session": { "id": renewed.session.session, "expiresAt": renewed.ends_at() },
        "user": views::user(&renewed.user),
    })
}
