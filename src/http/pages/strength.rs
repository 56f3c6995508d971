//! `/auth/password-strength`: what the script of a page tells about a new password while it is
//! typed. The password stands in the body of the request alone, which is never logged, and no
//! answer is cached.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::account::reset_password;
use crate::flows::account::strength;
use crate::flows::account::strength::Strength;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_EMAIL, MAX_LINK_TOKEN, MAX_PASSWORD};

use super::page::Page;
use super::visitor::MaybeSignedIn;

/// Answers with the level, from 0 for a password that the service refuses to 3 for a strong one,
/// and its text. Whose password it is decides what else is easy to guess: the name and the email
/// address of the form, of the signed-in user, or of the user of the link.
pub(super) async fn estimate(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    MaybeSignedIn(who): MaybeSignedIn,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let password = body.text("password", MAX_PASSWORD);
    let name = body.optional_text("name", MAX_EMAIL).or_default();
    let email = body.optional_text("email", MAX_EMAIL).or_default();
    let token = body.optional_text("token", MAX_LINK_TOKEN).or_default();
    let (password, name, email, token) = body.finish((password, name, email, token))?;
    let mut own = vec![name, email];
    if let Some(who) = &who {
        own.extend([who.user.name.clone(), who.user.email.to_string()]);
    }
    if !token.is_empty() {
        own.extend(reset_password::own_words(&app, &token).await?);
    }
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let (level, text) = match strength::estimate(&app, &password, &own, &requester).await? {
        Strength::Refused(error) => {
            let error = Error::from(error);
            let text = page
                .meaning(error.code())
                .map_or_else(|| error.message(), ToOwned::to_owned);
            (0, text)
        }
        Strength::Weak => (1, page.t("form.weak").to_owned()),
        Strength::Fair => (2, page.t("form.fair").to_owned()),
        Strength::Strong => (3, page.t("form.strong").to_owned()),
    };
    Ok(Json(json!({ "level": level, "text": text })).into_response())
}
