//! The forms of `/auth/account/security` that connect an account of another service, and disconnect
//! one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::app::App;
use crate::flows::federation::Urls;
use crate::flows::federation::begin::{self, Wanted};
use crate::flows::federation::links;
use crate::flows::permit::to;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_ID, MAX_WORD};
use crate::http::pages::form::Form;
use crate::http::pages::paths::CONNECTIONS;
use crate::http::pages::upstream::lead_to;
use crate::http::pages::visitor::{OwnForm, see_other};

use super::forms::{again, stale};

/// Leads on to the provider, which leads back to the page.
pub(in crate::http::pages) async fn connect(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    let provider = fields.text("provider", MAX_WORD);
    let provider = fields.finish(provider)?;
    let form = Form::new("connect");
    if is_stale {
        return stale(&visitor, form).await;
    }
    let wanted = Wanted {
        provider: provider.clone(),
        urls: Urls {
            done: Some(format!("{CONNECTIONS}?done=connected")),
            new_user: None,
            failed: Some(CONNECTIONS.to_owned()),
        },
        ..Wanted::default()
    };
    match begin::link(&app, own, wanted, &visitor.requester).await {
        Ok(begun) => Ok(lead_to(&visitor.page, &provider, &begun)),
        Err(error) => again(&visitor, form, error.into()).await,
    }
}

/// Disconnects an account, unless it is the last way to sign in.
pub(in crate::http::pages) async fn disconnect(
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
    let form = Form::new("disconnect").filled("id", &id);
    if is_stale {
        return stale(&visitor, form).await;
    }
    match links::unlink(&app, own, &id, &visitor.requester).await {
        Ok(()) => Ok(see_other(&format!("{CONNECTIONS}?done=disconnected"))),
        Err(error) => again(&visitor, form, error.into()).await,
    }
}
