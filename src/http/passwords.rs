//! A forgotten password: `/request-password-reset`, `/reset-password/{token}`, `/reset-password`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::{Error as Refused, reset_password};
use crate::model::email::Email;

use super::accounts::{MAX_NAME, MAX_PASSWORD, MAX_URL};
use super::body::Fields;
use super::client::Client;
use super::emails::{callback_of, redirect};
use super::error::Error;
use super::query::Query;

const MAX_TOKEN: usize = 256;
const SENT: &str = "If this email exists in our system, check your email for the reset link";

pub(super) async fn request(State(app): State<Arc<App>>, Client(peer): Client, mut body: Fields) -> Result<Response, Error> {
    let email = body.text("email", MAX_NAME * 4);
    let target = body.optional_text("redirectTo", MAX_URL);
    let parsed: Option<Email> = email.parse().ok();
    if parsed.is_none() {
        body.problem("email", "Invalid email address");
    }
    body.finish()?;
    let Some(email) = parsed else { return Err(Refused::InvalidEmail.into()) };
    reset_password::request(&app, &email, target, &peer).await?;
    Ok(Json(json!({ "status": true, "message": SENT })).into_response())
}

/// The link of the mail: leads to the application's own page, with the token or with an error; it is not used up by that.
pub(super) async fn open(State(app): State<Arc<App>>, Path(token): Path<String>, query: Query) -> Result<Response, Error> {
    let callback = callback_of(&app, &query)?.ok_or_else(|| Error::missing("callbackURL"))?;
    // A path alone means a page of ours.
    let absolute = if callback.starts_with('/') { format!("{}{callback}", app.config.server.public_url.as_str().trim_end_matches('/')) } else { callback };
    match reset_password::check(&app, &token).await {
        Ok(()) => redirect(&absolute, Some(("token", &token))),
        Err(Refused::MailTokenInvalid) => redirect(&absolute, Some(("error", "INVALID_TOKEN"))),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn reset(State(app): State<Arc<App>>, Client(peer): Client, query: Query, mut body: Fields) -> Result<Response, Error> {
    let new = body.text("newPassword", MAX_PASSWORD);
    let token = body.optional_text("token", MAX_TOKEN).or_else(|| query.one("token").map(ToOwned::to_owned));
    body.finish()?;
    reset_password::reset(&app, &token.unwrap_or_default(), &new, &peer).await?;
    Ok(Json(json!({ "status": true })).into_response())
}
