//! The forms of `/auth/account/security` that name and delete a passkey. The script adds one.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::passkeys;
use crate::flows::permit::to;
use crate::http::delivery::device::know_again;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_ID, MAX_PASSKEY_NAME};
use crate::http::pages::form::Form;
use crate::http::pages::visitor::{OwnForm, see_other};
use crate::model::kernel::id::EventId;

use super::forms::{again, stale};
use super::security;

/// Reads the id of a form; one that no passkey can have is that of none.
fn id_of(text: &str) -> Result<EventId, Refused> {
    text.parse().map_err(|_| Refused::NoSuchPasskey)
}

fn done(what: &str) -> Response {
    see_other(&format!("/auth/account/security?done={what}"))
}

/// Gives a passkey another name.
pub(in crate::http::pages) async fn rename(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    let id = fields.text("id", MAX_ID);
    let name = fields.optional_text("name", MAX_PASSKEY_NAME).or_default();
    let (id, name) = fields.finish((id, name))?;
    let mut form = Form::new("rename-passkey")
        .filled("id", &id)
        .filled("name", name.trim());
    if is_stale {
        return stale(&visitor, form).await;
    }
    let name = form.required(&visitor.page, "name", name.trim().to_owned());
    let outcome = match form.finish(name) {
        Ok(name) => match id_of(&id) {
            Ok(id) => passkeys::rename(&app, own, id, &name, &visitor.requester).await,
            Err(unknown) => Err(unknown),
        },
        Err(error) => return security(&visitor, form, Some(error)).await,
    };
    match outcome {
        Ok(_) => Ok(done("passkey_renamed")),
        Err(error) => again(&visitor, form, error.into()).await,
    }
}

/// Deletes a passkey, unless it is the last way to sign in.
pub(in crate::http::pages) async fn delete(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    let id = fields.text("id", MAX_ID);
    let id = fields.finish(id)?;
    let mut form = Form::new("delete-passkey").filled("id", &id);
    if is_stale {
        return stale(&visitor, form).await;
    }
    let outcome = match id_of(&id) {
        Ok(id) => passkeys::remove(&app, own, id, &visitor.requester).await,
        Err(unknown) => Err(unknown),
    };
    match outcome {
        Ok(user) => {
            let (mut told, mut headers) = (serde_json::Value::Null, HeaderMap::new());
            let session = &visitor.who.session;
            know_again(&app, session, &user, &mut told, &mut headers);
            Ok((headers, done("passkey_deleted")).into_response())
        }
        Err(error @ Refused::InsufficientAuthentication) => {
            form.say(&visitor.page, "passkeys.required");
            security(&visitor, form, Some(error.into())).await
        }
        Err(error) => again(&visitor, form, error.into()).await,
    }
}
