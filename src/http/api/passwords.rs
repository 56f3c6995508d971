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
use crate::flows::login::known_device;
use crate::model::account::email::Email;

use super::accounts::{MAX_NAME, MAX_PASSWORD, MAX_URL, know_anew};
use super::emails::{callback_of, redirect};
use crate::http::edge::body::{Fields, Submitted};
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::query::Query;
use crate::http::pages::Page;
use crate::http::pages::login::passwords::Choosing;
use crate::http::pages::login::sign_in::next_of;

const MAX_TOKEN: usize = 256;
const SENT: &str = "If this email exists in our system, check your email for the reset link";

pub(in crate::http) async fn request(
    State(app): State<Arc<App>>,
    Client(peer): Client,
    mut body: Fields,
) -> Result<Response, Error> {
    let email = body.text("email", MAX_NAME * 4);
    let target = body.optional_text("redirectTo", MAX_URL);
    let parsed: Option<Email> = email.parse().ok();
    if parsed.is_none() {
        body.problem("email", "Invalid email address");
    }
    body.finish()?;
    let Some(email) = parsed else {
        return Err(Refused::InvalidEmail.into());
    };
    reset_password::request(&app, &email, target, &peer).await?;
    Ok(Json(json!({ "status": true, "message": SENT })).into_response())
}

/// The link of the mail: leads to the application's own page, with the token or with an error; it
/// is not used up by that. Without a page of the application the link has one itself.
pub(in crate::http) async fn open(
    State(app): State<Arc<App>>,
    page: Page,
    Path(token): Path<String>,
    query: Query,
) -> Result<Response, Error> {
    let Some(callback) = callback_of(&app, &query)? else {
        let next = next_of(&app, query.one("redirect_to"))?;
        return match reset_password::check(&app, &token).await {
            Ok(()) => Ok(Choosing {
                page: &page,
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
        Ok(()) => Ok(redirect(&absolute, Some(("token", &token)))),
        Err(Refused::MailTokenInvalid) => Ok(redirect(&absolute, Some(("error", "INVALID_TOKEN")))),
        Err(error) => Err(error.into()),
    }
}

fn action(app: &App, token: &str) -> String {
    format!("{}/reset-password/{token}", app.config.server.base_path)
}

/// The form of the link's own page.
pub(in crate::http) async fn choose(
    State(app): State<Arc<App>>,
    page: Page,
    Client(peer): Client,
    credentials: Credentials,
    Path(token): Path<String>,
    Submitted(body): Submitted,
) -> Result<Response, Error> {
    let next = next_of(&app, body.peek("redirect_to"))?;
    reset_password::check(&app, &token).await?;
    Choosing {
        page: &page,
        token: &token,
        next: &next,
        action: &action(&app, &token),
    }
    .answer(body, &credentials, &peer)
    .await
}

/// The device is known by a new token: in a cookie, or in the answer to a client that holds no
/// cookies.
pub(in crate::http) async fn reset(
    State(app): State<Arc<App>>,
    Client(peer): Client,
    credentials: Credentials,
    query: Query,
    mut body: Fields,
) -> Result<Response, Error> {
    let new = body.text("newPassword", MAX_PASSWORD);
    let token = body
        .optional_text("token", MAX_TOKEN)
        .or_else(|| query.one("token").map(ToOwned::to_owned));
    body.finish()?;
    let user = reset_password::reset(&app, &token.unwrap_or_default(), &new, &peer).await?;
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
