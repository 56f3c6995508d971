//! Codes by email on `/auth/account/security`: a first one turns two-step sign-in on, later ones
//! prove the second step again. `forms::prove` takes them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::app::App;
use crate::flows::account::two_factor_session;
use crate::flows::permit::to;
use crate::http::edge::error::Error;
use crate::http::pages::form::Form;
use crate::http::pages::visitor::{OwnForm, see_other};

use super::forms::{again, password, stale};
use super::security;

/// Redirects to the form for the code.
fn to_code(done: &str) -> Response {
    see_other(&format!("/auth/account/security?with=email&done={done}"))
}

/// Sends the first code to a user who wants codes by email as the second step.
pub(in crate::http::pages) async fn begin(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    if is_stale {
        return stale(&visitor, Form::new("by-mail")).await;
    }
    let (form, current) = password(&visitor, fields, "by-mail").await?;
    let current = match current {
        Ok(current) => current,
        Err(error) => return security(&visitor, form, Some(error)).await,
    };
    let requester = &visitor.requester;
    match two_factor_session::begin_by_mail(&app, own, current.as_deref(), requester).await {
        Ok(()) => Ok(to_code("sent")),
        Err(error) => again(&visitor, form, error.into()).await,
    }
}

/// Sends a code with which the second step is proven again.
pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    let is_again = fields.has("again");
    fields.finish(())?;
    let form = Form::new(if is_again { "again" } else { "send" });
    if is_stale {
        return stale(&visitor, form).await;
    }
    match two_factor_session::send_code(&app, own, &visitor.requester).await {
        Ok(()) => Ok(to_code(if is_again { "sent_again" } else { "sent" })),
        Err(error) => again(&visitor, form, error.into()).await,
    }
}
