//! Mails that are asked for, and the deletion that one of them asks about:
//! `/send-verification-email`, `/change-email`, `/delete-user`. Opening a link shows a page that
//! asks; a mail scanner that follows links changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::{change_email, delete_user, verify_email};
use crate::flows::session::read_session::Accepts;
use crate::model::account::email::Email;
use crate::model::account::permission::Action;
use crate::model::kernel::origin::is_trusted_redirect;

use super::accounts::{MAX_NAME, MAX_PASSWORD, MAX_URL};
use crate::http::edge::body::{Fields, Submitted};
use crate::http::edge::client::Client;
use crate::http::edge::cookies;
use crate::http::edge::cookies::Clear;
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::header_text;
use crate::http::edge::query::Query;
use crate::http::pages::Page;
use crate::http::pages::ask::confirm;

pub(in crate::http) const MAX_TOKEN: usize = 256;

/// `callbackURL` of a body.
pub(in crate::http) fn callback(body: &mut Fields) -> Option<String> {
    body.optional_text("callbackURL", MAX_URL)
        .filter(|url| !url.is_empty())
}

/// `callbackURL` of a query, if it is trusted and no longer than one in a body; an empty one is
/// none.
pub(in crate::http) fn callback_of(app: &App, query: &Query) -> Result<Option<String>, Error> {
    match query.one("callbackURL").filter(|url| !url.is_empty()) {
        Some(url)
            if url.len() > MAX_URL
                || !is_trusted_redirect(url, &app.config.server.trusted_origins) =>
        {
            Err(Error::InvalidCallbackUrl)
        }
        callback => Ok(callback.map(|url| app.config.server.mount.given(url))),
    }
}

pub(in crate::http) async fn send_verification(
    State(app): State<Arc<App>>,
    Client(peer): Client,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let email = body.text("email", MAX_NAME * 4);
    let callback = callback(&mut body);
    let parsed: Option<Email> = email.parse().ok();
    if parsed.is_none() {
        body.problem("email", "Invalid email address");
    }
    body.finish()?;
    let Some(email) = parsed else {
        return Err(Refused::InvalidEmail.into());
    };
    let who = match credentials
        .authenticate(&app, Accepts::SessionTokenOnly)
        .await?
    {
        Some(Ok(who)) => Some(who),
        Some(Err(_)) | None => None,
    };
    verify_email::request(
        &app,
        &email,
        who.as_ref().map(|w| &*w.user),
        callback,
        &peer,
    )
    .await?;
    Ok(Json(json!({ "status": true })).into_response())
}

/// Where a link leads to in the end, and how it went.
pub(in crate::http) fn led_to(
    callback: Option<&str>,
    outcome: Result<Value, Refused>,
) -> Result<Response, Error> {
    match (callback, outcome) {
        (None, Ok(answer)) => Ok(Json(answer).into_response()),
        (Some(url), Ok(_)) => Ok(redirect(url, None)),
        (
            Some(url),
            Err(
                error @ (Refused::MailTokenInvalid
                | Refused::MailTokenExpired
                | Refused::UserNotFound),
            ),
        ) => Ok(redirect(url, Some(("error", Error::from(error).code())))),
        (_, Err(error)) => Err(error.into()),
    }
}

/// 302, as Better Auth answers, with one more pair in the query.
pub(in crate::http) fn redirect(url: &str, pair: Option<(&str, &str)>) -> Response {
    let target = pair.map_or_else(
        || url.to_owned(),
        |(name, value)| {
            let (before, fragment) = url.find('#').map_or((url, ""), |at| url.split_at(at));
            format!(
                "{before}{}{name}={value}{fragment}",
                if before.contains('?') { '&' } else { '?' }
            )
        },
    );
    (
        StatusCode::FOUND,
        [
            (header::LOCATION, header_text::location(&target)),
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            ),
        ],
    )
        .into_response()
}

/// The browser goes on with GET, and sends no form again.
pub(in crate::http) fn after_post(mut response: Response) -> Response {
    if response.status() == StatusCode::FOUND {
        *response.status_mut() = StatusCode::SEE_OTHER;
    }
    response
}

pub(in crate::http) async fn change_email(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    who.require_not_impersonated(Action::SetEmail)?;
    let new = body.text("newEmail", MAX_NAME * 4);
    let callback = callback(&mut body);
    let parsed: Option<Email> = new.parse().ok();
    if parsed.is_none() {
        body.problem("newEmail", "Invalid email address");
    }
    body.finish()?;
    let Some(new) = parsed else {
        return Err(Refused::InvalidEmail.into());
    };
    change_email::request(&app, &who, new, callback, &peer).await?;
    Ok(Json(json!({ "status": true })).into_response())
}

pub(in crate::http) async fn delete(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    who.require_not_impersonated(Action::DeleteUser)?;
    let password = body.optional_text("password", MAX_PASSWORD);
    let token = body.optional_text("token", MAX_TOKEN);
    let callback = callback(&mut body);
    body.finish()?;
    match (password, token) {
        (Some(password), _) => delete_user::with_password(&app, &who, &password, &peer).await?,
        (None, Some(token)) => delete_user::with_token(&app, who.user.id, &token, &peer)
            .await
            .map_err(|e| at_delete_user(e.into()))?,
        (None, None) if app.config.mail.sends() => {
            delete_user::request(&app, &who, callback, &peer).await?;
            return Ok(
                Json(json!({ "success": true, "message": "Verification email sent" }))
                    .into_response(),
            );
        }
        (None, None) => delete_user::with_fresh_session(&app, &who, &peer).await?,
    }
    let mut headers = HeaderMap::new();
    cookies::clear(&app, &mut headers, Clear::Session);
    Ok((
        headers,
        Json(json!({ "success": true, "message": "User deleted" })),
    )
        .into_response())
}

/// The link of the mail: asks, where its user is signed in.
pub(in crate::http) async fn ask_to_delete(
    State(app): State<Arc<App>>,
    credentials: Credentials,
    page: Page,
    query: Query,
) -> Result<Response, Error> {
    let Some(Ok(who)) = credentials
        .authenticate(&app, Accepts::SessionTokenOnly)
        .await?
    else {
        return Err(Refused::FailedToGetUserInfo.into());
    };
    who.require_not_impersonated(Action::DeleteUser)?;
    let callback = callback_of(&app, &query)?;
    let token = query.one("token").unwrap_or_default();
    delete_user::check(&app, who.user.id, token)
        .await
        .map_err(|e| at_delete_user(e.into()))?;
    Ok(confirm(
        &page,
        page.t("ask.delete"),
        "ask.delete_button",
        token,
        callback.as_deref(),
    ))
}

/// The form of the page that asked.
pub(in crate::http) async fn delete_as_asked(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    who.require_not_impersonated(Action::DeleteUser)?;
    let token = body.text("token", MAX_TOKEN);
    let callback = callback(&mut body).map(|url| app.config.server.mount.given(&url));
    body.finish()?;
    delete_user::with_token(&app, who.user.id, &token, &peer)
        .await
        .map_err(|e| at_delete_user(e.into()))?;
    let mut response = after_post(led_to(
        callback.as_deref(),
        Ok(json!({ "success": true, "message": "User deleted" })),
    )?);
    cookies::clear(&app, response.headers_mut(), Clear::Session);
    Ok(response)
}

/// At these paths a link that is not good is 404 (contract section 5.5).
fn at_delete_user(error: Error) -> Error {
    match error {
        Error::Flow(Refused::MailTokenInvalid | Refused::MailTokenExpired) => {
            Error::Link(StatusCode::NOT_FOUND, Refused::MailTokenInvalid)
        }
        other => other,
    }
}
