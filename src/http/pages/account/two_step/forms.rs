//! The forms of `/auth/account/security`: set up the authenticator app, confirm it, prove the second
//! step again, make new recovery codes, turn it off. Each asks for a code, or for the password of a
//! user who has one.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::{two_factor, two_factor_session};
use crate::flows::login::factor_code::Code;
use crate::flows::permit::to;
use crate::flows::session::open_session::SessionTokens;
use crate::http::delivery::second_step::forget_device;
use crate::http::delivery::session_delivery::deliver_anew;
use crate::http::delivery::views;
use crate::http::edge::body::Fields;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_PASSWORD};
use crate::http::pages::enrolment::{Within, enrol, recovery_codes};
use crate::http::pages::form::Form;
use crate::http::pages::visitor::{OwnForm, SignedIn, see_other};
use crate::model::account::user::User;
use crate::model::login::gate::Factors;

use super::security;

/// Delivers the session that replaces the own one, and redirects to the page.
fn go_on(app: &App, user: &User, tokens: &SessionTokens, done: &str) -> Response {
    let mut headers = HeaderMap::new();
    let mut told = serde_json::json!({ "user": views::user(user) });
    deliver_anew(app, tokens, &mut told, &mut headers);
    let page = format!("/auth/account/security?done={done}");
    (headers, see_other(&page)).into_response()
}

/// Returns the form that the page shows to this user: the one that begins, or the one for a code.
fn first_form(visitor: &SignedIn) -> Form {
    Form::new(if visitor.who.user.two_factor {
        "step-up"
    } else {
        "set-up"
    })
}

/// Shows the page after a form that was shown to another session; nothing was changed.
pub(super) async fn stale(visitor: &SignedIn, mut form: Form) -> Result<Response, Error> {
    form.say(&visitor.page, "error.INVALID_FORM_TOKEN");
    security(visitor, form, Some(Error::InvalidFormToken)).await
}

/// Shows the page with a form that was refused. If a code has to be entered first, it shows the form
/// for one instead. If the user has to sign in again first, the page of the error says so, or the list
/// of passkeys.
pub(super) async fn again(
    visitor: &SignedIn,
    mut form: Form,
    error: Error,
) -> Result<Response, Error> {
    if let Error::Flow(Refused::SessionNotFresh(_)) = error {
        if two_factor::state(&visitor.page.app, &visitor.who)
            .await?
            .is_fresh
        {
            if !matches!(form.id(), "delete-passkey" | "connect" | "disconnect") {
                return Err(error);
            }
            let error = form.refused(&visitor.page, error)?;
            return security(visitor, form, Some(error)).await;
        }
        let mut form = first_form(visitor);
        form.say(&visitor.page, "security.prove_first");
        return security(visitor, form, Some(error)).await;
    }
    let error = form.refused(&visitor.page, error)?;
    security(visitor, form, Some(error)).await
}

/// Reads the password of a form, or returns the form with what is missing. A user without a password
/// has none to enter.
pub(super) async fn password(
    visitor: &SignedIn,
    mut fields: Fields,
    id: &'static str,
) -> Result<(Form, Result<Option<String>, Error>), Error> {
    let current = fields.optional_text("current", MAX_PASSWORD).or_default();
    let current = fields.finish(current)?;
    let mut form = Form::new(id);
    let state = two_factor::state(&visitor.page.app, &visitor.who).await?;
    if !state.factors.contains(Factors::PASSWORD) {
        return Ok((form, Ok(None)));
    }
    let current = form.required(&visitor.page, "current", current);
    let opened = form.finish(current).map(Some);
    Ok((form, opened))
}

/// Makes a secret for an authenticator app, and shows it.
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
        return stale(&visitor, Form::new("set-up")).await;
    }
    let (form, current) = password(&visitor, fields, "set-up").await?;
    let current = match current {
        Ok(current) => current,
        Err(error) => return security(&visitor, form, Some(error)).await,
    };
    match two_factor::begin(&app, own, current.as_deref(), None, &visitor.requester).await {
        Ok(enrolment) => {
            let form = Form::new("confirm");
            Ok(enrol(
                &visitor.page,
                &form,
                enrolment,
                Within::Account,
                None,
            ))
        }
        Err(error) => again(&visitor, form, error.into()).await,
    }
}

/// Turns the second step on with the first code, or shows the secret again with the reason.
pub(in crate::http::pages) async fn confirm(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    if is_stale {
        return stale(&visitor, Form::new("set-up")).await;
    }
    let code = fields.optional_text("code", MAX_CODE).or_default();
    let made = fields.optional_text("made", MAX_CODE).or_default();
    let (code, made) = fields.finish((code, made))?;
    // Another window has begun anew: the recovery codes of this one are no good.
    let waiting = two_factor::unconfirmed(&app, own).await?;
    if waiting.is_some_and(|enrolment| !made.is_empty() && enrolment.made_at.0.to_string() != made)
    {
        let mut form = first_form(&visitor);
        form.say(&visitor.page, "security.replaced");
        return security(&visitor, form, Some(Refused::TotpNotEnabled.into())).await;
    }
    let mut form = Form::new("confirm");
    let code = form.six_digits(&visitor.page, "code", &code);
    let error = match form.finish(code) {
        Err(error) => error,
        Ok(code) => match two_factor_session::confirm(&app, own, &code, &visitor.requester).await {
            Ok((user, tokens)) => return Ok(go_on(&app, &user, &tokens, "two_step_on")),
            Err(error) => form.refused(&visitor.page, error.into())?,
        },
    };
    match two_factor::unconfirmed(&app, own).await? {
        Some(enrolment) => {
            let (page, within) = (&visitor.page, Within::Account);
            Ok(enrol(page, &form, enrolment, within, Some(error)))
        }
        // It was confirmed or given up in another window.
        None => again(&visitor, first_form(&visitor), error).await,
    }
}

/// Proves the second step again, so that it can be changed. A first code by email turns two-step
/// sign-in on.
pub(in crate::http::pages) async fn prove(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    let code = fields.optional_text("code", MAX_CODE).or_default();
    let mailed = fields.optional_text("mailed", MAX_CODE);
    let recovery = fields.optional_text("recovery", MAX_CODE);
    let (code, mailed, recovery) = fields.finish((code, mailed, recovery))?;
    let id = match (&recovery, &mailed) {
        (Some(_), _) => "recovery",
        (None, Some(_)) => "mailed",
        (None, None) => "step-up",
    };
    if is_stale {
        return stale(&visitor, Form::new(id)).await;
    }
    let mut form = Form::new(id);
    let checked = match (recovery, &mailed) {
        (Some(recovery), _) => form.required(&visitor.page, "recovery", recovery),
        (None, Some(mailed)) => form.six_digits(&visitor.page, "mailed", mailed),
        (None, None) => form.six_digits(&visitor.page, "code", &code),
    };
    let text = match form.finish(checked) {
        Ok(text) => text,
        Err(error) => return security(&visitor, form, Some(error)).await,
    };
    let code = match id {
        "recovery" => Code::Recovery(&text),
        "mailed" => Code::Mailed(&text),
        _ => Code::Totp(&text),
    };
    let was_on = visitor.who.user.two_factor;
    match two_factor_session::step_up(&app, own, code, &visitor.requester).await {
        Ok((user, tokens)) => {
            let done = if was_on { "stepped_up" } else { "two_step_on" };
            Ok(go_on(&app, &user, &tokens, done))
        }
        // The code is no longer good: the page offers to send another one.
        Err(error @ (Refused::OtpHasExpired | Refused::TooManyAttempts)) => {
            let form = Form::new(if was_on { "send" } else { "by-mail" });
            again(&visitor, form, error.into()).await
        }
        Err(error) => again(&visitor, form, error.into()).await,
    }
}

/// Makes new recovery codes, and shows them.
pub(in crate::http::pages) async fn codes(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    if is_stale {
        return stale(&visitor, Form::new("renew")).await;
    }
    let (form, current) = password(&visitor, fields, "renew").await?;
    let current = match current {
        Ok(current) => current,
        Err(error) => return security(&visitor, form, Some(error)).await,
    };
    match two_factor::renew_codes(&app, own, current.as_deref(), &visitor.requester).await {
        Ok(codes) => {
            let email = visitor.who.user.email.as_str();
            Ok(recovery_codes(&visitor.page, email, codes))
        }
        Err(error) => again(&visitor, form, error.into()).await,
    }
}

/// Turns the second step off, unless the settings require it of the user.
pub(in crate::http::pages) async fn turn_off(
    State(app): State<Arc<App>>,
    credentials: Credentials,
    OwnForm {
        visitor,
        fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::ResetFactors>()?;
    if is_stale {
        return stale(&visitor, Form::new("turn-off")).await;
    }
    let (mut form, current) = password(&visitor, fields, "turn-off").await?;
    let current = match current {
        Ok(current) => current,
        Err(error) => return security(&visitor, form, Some(error)).await,
    };
    match two_factor_session::disable(&app, own, current.as_deref(), &visitor.requester).await {
        Ok((user, tokens)) => {
            let mut answer = go_on(&app, &user, &tokens, "two_step_off");
            forget_device(&app, &credentials.remembered, answer.headers_mut());
            Ok(answer)
        }
        Err(error @ Refused::InsufficientAuthentication) => {
            form.say(&visitor.page, "security.required");
            security(&visitor, form, Some(error.into())).await
        }
        Err(error) => again(&visitor, form, error.into()).await,
    }
}
