//! Mails that a user requests, and the deletion by a link in one of them:
//! `/send-verification-email`, `/change-email`, `/delete-user`. Opening a link shows a page that
//! asks for confirmation, so that a mail scanner that follows links changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::{change_email, delete_user, verify_email};
use crate::flows::permit::to;
use crate::flows::session::read_session::Accepts;
use crate::http::edge::body::{Fields, Submitted};
use crate::http::edge::client::Client;
use crate::http::edge::cookies;
use crate::http::edge::cookies::Clear;
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::header_text;
use crate::http::edge::limits::{MAX_LINK_TOKEN, MAX_PASSWORD};
use crate::http::edge::query::Query;
use crate::http::edge::redirects::callback;
use crate::http::pages::Page;
use crate::http::pages::ask::confirm;

pub(in crate::http) async fn send_verification(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let email = body.email("email");
    let callback = callback(&mut body);
    let (email, callback) = body.finish((email, callback))?;
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
        &requester,
    )
    .await?;
    Ok(Json(json!({ "status": true })).into_response())
}

/// Redirects to where a link finally leads, with the outcome.
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

/// Answers 302, as Better Auth does, with one more pair in the query.
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

/// Makes the browser continue with GET, so that it does not send the form again.
pub(in crate::http) fn after_post(mut response: Response) -> Response {
    if response.status() == StatusCode::FOUND {
        *response.status_mut() = StatusCode::SEE_OTHER;
    }
    response
}

pub(in crate::http) async fn change_email(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.own_way_in::<to::SetEmail>(&app)?;
    let new = body.email("newEmail");
    let callback = callback(&mut body);
    let (new, callback) = body.finish((new, callback))?;
    change_email::request(&app, own, new, callback, &requester).await?;
    Ok(Json(json!({ "status": true })).into_response())
}

pub(in crate::http) async fn delete(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let password = body.optional_text("password", MAX_PASSWORD);
    let token = body.optional_text("token", MAX_LINK_TOKEN);
    let callback = callback(&mut body);
    let (password, token, callback) = body.finish((password, token, callback))?;
    match (password, token) {
        (Some(password), _) => {
            let own = who.own_way_in(&app)?;
            delete_user::with_password(&app, own, &password, &requester).await?;
        }
        // The link was asked for with a young proof.
        (None, Some(token)) => {
            delete_user::with_token(&app, who.own_account()?, &token, &requester)
                .await
                .map_err(|e| at_delete_user(e.into()))?;
        }
        (None, None) if app.config.mail.sends() => {
            let own = who.own_way_in(&app)?;
            delete_user::request(&app, own, callback, &requester).await?;
            return Ok(
                Json(json!({ "success": true, "message": "Verification email sent" }))
                    .into_response(),
            );
        }
        (None, None) => {
            let own = who.own_way_in(&app)?;
            delete_user::with_fresh_session(&app, own, &requester).await?;
        }
    }
    let mut headers = HeaderMap::new();
    cookies::clear(&app, &mut headers, Clear::Session);
    Ok((
        headers,
        Json(json!({ "success": true, "message": "User deleted" })),
    )
        .into_response())
}

/// Opens the link of the mail: asks for confirmation if its user is signed in.
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
    let own = who.own_account::<to::DeleteUser>()?;
    let callback = query.callback_url(&app)?;
    let token = query
        .no_longer_than("token", MAX_LINK_TOKEN)
        .unwrap_or_default();
    delete_user::check(&app, own, token)
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

/// Handles the form of the confirmation page.
pub(in crate::http) async fn delete_as_asked(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let own = who.own_account::<to::DeleteUser>()?;
    let token = body.text("token", MAX_LINK_TOKEN);
    let callback = callback(&mut body);
    let (token, callback) = body.finish((token, callback))?;
    let callback = callback.map(|url| app.config.server.mount.given(&url));
    delete_user::with_token(&app, own, &token, &requester)
        .await
        .map_err(|e| at_delete_user(e.into()))?;
    let mut response = after_post(led_to(
        callback.as_deref(),
        Ok(json!({ "success": true, "message": "User deleted" })),
    )?);
    cookies::clear(&app, response.headers_mut(), Clear::Session);
    Ok(response)
}

/// Maps errors: at these paths an invalid link is 404 (contract section 5.5).
fn at_delete_user(error: Error) -> Error {
    match error {
        Error::Flow(Refused::MailTokenInvalid | Refused::MailTokenExpired) => {
            Error::Link(StatusCode::NOT_FOUND, Refused::MailTokenInvalid)
        }
        other => other,
    }
}
