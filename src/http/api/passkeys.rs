//! `/passkey/list-user-passkeys`, `/update-passkey`, `/delete-passkey`, `/signals`: the passkeys of one's
//! own account. `passkey_registration` and `passkey_authentication` have the paths that make and use
//! one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::passkeys as flow;
use crate::http::delivery::device::know_again;
use crate::http::delivery::passkeys as delivery;
use crate::http::edge::body::Fields;
use crate::http::edge::credentials::{Acting, Authenticated};
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_PASSKEY_NAME;
use crate::model::kernel::id::EventId;

pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
) -> Result<Response, Error> {
    let passkeys = flow::list(&app, &who).await?;
    let views: Vec<Value> = passkeys.iter().map(delivery::view).collect();
    Ok(Json(views).into_response())
}

pub(in crate::http) async fn rename(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account()?;
    let id = body.id("id");
    let name = body.filled_text("name", MAX_PASSKEY_NAME, "is required");
    let (id, name) = body.finish((id, name))?;
    let id: EventId = id.ok_or(Refused::NoSuchPasskey)?;
    let passkey = flow::rename(&app, own, id, &name, &requester).await?;
    Ok(Json(json!({ "passkey": delivery::view(&passkey) })).into_response())
}

pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_account()?;
    let id = body.id("id");
    let id: Option<EventId> = body.finish(id)?;
    let id = id.ok_or(Refused::NoSuchPasskey)?;
    let user = flow::remove(&app, own, id, &requester).await?;
    let mut answer = json!({ "status": true });
    let mut headers = HeaderMap::new();
    know_again(&app, &who.session, &user, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}

/// Says what a password manager should know of the passkeys of the user.
pub(in crate::http) async fn signals(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
) -> Result<Response, Error> {
    let signals = flow::signals(&app, &who).await?;
    let name: &str = &who.user.name;
    let email = who.user.email.as_str();
    Ok(Json(json!({
        "rpId": app.config.passkeys.rp_id,
        "userId": signals.user_handle,
        "allAcceptedCredentialIds": signals.credential_ids,
        "name": email,
        "displayName": if name.is_empty() { email } else { name },
    }))
    .into_response())
}
