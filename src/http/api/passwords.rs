//! A forgotten password: `/request-password-reset`, `/reset-password/{token}`, `/reset-password`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::reset_password;
use crate::flows::limit::known_device;

use super::emails::redirect;
use crate::http::delivery::device::know_anew;
use crate::http::edge::body::{Fields, Submitted};
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_LINK_TOKEN, MAX_PASSWORD, MAX_URL};
use crate::http::edge::query::Query;
use crate::http::pages::Page;
use crate::http::pages::form::TypedTwice;
use crate::http::pages::login::passwords::Choosing;

const SENT: &str = "If this email exists in our system, check your email for the reset link";

pub(in crate::http) async fn request(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    mut body: Fields,
) -> Result<Response, Error> {
    let email = body.email("email");
    let target = body.optional_text("redirectTo", MAX_URL);
    let (email, target) = body.finish((email, target))?;
    reset_password::request(&app, &email, target, &requester).await?;
    Ok(Json(json!({ "status": true, "message": SENT })).into_response())
}

/// Opens the link of the mail: redirects to the application's own page, with the token or with an
/// error, and does not use the link up. Without such a page it shows one of its own.
pub(in crate::http) async fn open(
    State(app): State<Arc<App>>,
    page: Page,
    Path(token): Path<String>,
    query: Query,
) -> Result<Response, Error> {
    let Some(callback) = query.callback_url(&app)? else {
        let next = query.redirect_to(&app)?;
        return match reset_password::check(&app, &token).await {
            Ok(owner) => Ok(Choosing {
                page: &page,
                owner: &owner,
                token: &token,
                next: &next,
                action: &action(&app, &token),
            }
            .ask()),
            Err(Refused::MailTokenInvalid) => Err(Error::missing("callbackURL")),
            Err(error) => Err(error.into()),
        };
    };
    let absolute = if callback.starts_with('/') {
        app.config.server.mount.on_host(&callback)
    } else {
        callback
    };
    match reset_password::check(&app, &token).await {
        Ok(_) => Ok(redirect(&absolute, Some(("token", &token)))),
        Err(Refused::MailTokenInvalid) => Ok(redirect(&absolute, Some(("error", "INVALID_TOKEN")))),
        Err(error) => Err(error.into()),
    }
}

fn action(app: &App, token: &str) -> String {
    format!("{}/reset-password/{token}", app.config.server.base_path)
}

/// Handles the form of the link's own page.
pub(in crate::http) async fn choose(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    credentials: Credentials,
    Path(token): Path<String>,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    let typed = TypedTwice::read(&mut body);
    let typed = body.finish(typed)?;
    let owner = reset_password::check(&app, &token).await?;
    Choosing {
        page: &page,
        owner: &owner,
        token: &token,
        next: &next,
        action: &action(&app, &token),
    }
    .answer(typed, &credentials, &requester)
    .await
}

/// Makes the device known by a new token: in a cookie, or in the answer to a client that holds no
/// cookies.
pub(in crate::http) async fn reset(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    query: Query,
    mut body: Fields,
) -> Result<Response, Error> {
    let new = body.text("newPassword", MAX_PASSWORD);
    let token = body.optional_text("token", MAX_LINK_TOKEN);
    let (new, token) = body.finish((new, token))?;
    let token = token
        .as_deref()
        .or_else(|| query.no_longer_than("token", MAX_LINK_TOKEN))
        .unwrap_or_default();
    let user = reset_password::reset(&app, token, &new, &requester).await?;
    let (mut answer, mut headers) = (json!({ "status": true }), HeaderMap::new());
    if credentials.from_browser {
        know_anew(
            &app,
            &credentials,
            &user,
            known_device::token(&app, &user, None),
            &mut headers,
        );
    } else if let Some(device) = known_device::token(&app, &user, None) {
        answer["deviceToken"] = device.into();
    }
    Ok((headers, Json(answer)).into_response())
}
