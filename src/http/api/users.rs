//! One's own account: `/update-user`, `/verify-password`, `/update-session`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::update_user;
use crate::flows::account::update_user::Profile;
use crate::flows::permit::to;
use crate::model::session::session::Delivery;

use crate::http::edge::body::Fields;
use crate::http::edge::cookies;
use crate::http::edge::cookies::Name;
use crate::http::edge::credentials::{Acting, Authenticated};
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_PASSWORD;

pub(in crate::http) async fn update(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.on_behalf::<to::UpdateUser>(&app)?;
    if body.has("email") {
        return Err(Refused::EmailCanNotBeUpdated.into());
    }
    body.refuse_privileged()?;
    let name = body.checked_text("name");
    let image = body.text_or_null("image");
    let (name, image) = body.finish((name, image))?;
    update_user::update_user(&app, own, Profile { name, image }, &requester).await?;
    let mut headers = HeaderMap::new();
    let cookie = who
        .session_token
        .as_ref()
        .filter(|_| who.session.delivery == Delivery::Cookie);
    if let Some(value) =
        cookie.and_then(|token| crate::flows::session::credential::signed_cookie(&app, token))
    {
        let until = who.session.remember.then_some(who.ends_at());
        cookies::set(&app, &mut headers, Name::Session, &value, until);
    }
    Ok((headers, Json(json!({ "status": true }))).into_response())
}

pub(in crate::http) async fn verify_password(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    // Otherwise an admin who impersonates the user could guess the password here.
    let own = who.own_account::<to::SetPassword>()?;
    let password = body.text("password", MAX_PASSWORD);
    let password = body.finish(password)?;
    update_user::verify_password(&app, own, &password, &requester).await?;
    Ok(Json(json!({ "status": true })).into_response())
}

/// Refuses: a session has no fields that a client may set, and Better Auth's additional fields do
/// not exist here.
pub(in crate::http) async fn update_session(
    _: State<Arc<App>>,
    _: Authenticated,
    body: Fields,
) -> Result<Response, Error> {
    body.refuse_privileged()?;
    Err(Refused::NoFieldsToUpdate.into())
}
