//! `/verify-email`: the links that prove a mailbox or agree to another email address. Opening one
//! shows a page that asks for confirmation and changes nothing, even for programs that follow links
//! or run scripts; the form of the page acts. If the browser is not tied to the account, the page
//! also asks for the password, or offers to choose a new one (`flows::account::mailbox`).

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::mailbox;
use crate::flows::account::mailbox::{Proof, Standing};
use crate::flows::account::{change_email, verify_email};
use crate::flows::mail::mail_links;
use crate::model::mail::{MailToken, Purpose};

use super::emails::{after_post, led_to};
use crate::http::delivery::asker::Asker;
use crate::http::delivery::device::know_anew;
use crate::http::delivery::views;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::header_text;
use crate::http::edge::limits::{MAX_LINK_TOKEN, MAX_PASSWORD};
use crate::http::edge::query::Query;
use crate::http::edge::redirects::callback;
use crate::http::edge::redirects::query_of;
use crate::http::pages::Page;
use crate::http::pages::account::after_agreement;
use crate::http::pages::ask::{Prove, confirm, prove};

/// Shows the page of a valid link.
async fn ask(
    app: &App,
    page: &Page,
    link: &MailToken,
    asker: &Asker<'_>,
    form: Prove<'_>,
) -> Result<Response, Error> {
    let new = link.new_email.as_ref().map(ToString::to_string);
    if link.purpose == Purpose::ApproveChange {
        let question = page.with("ask.change_email", "email", new.unwrap_or_default());
        return Ok(confirm(
            page,
            &question,
            "ask.change_email_button",
            form.token,
            form.callback,
        ));
    }
    let standing = mailbox::standing(app, link, &asker.evidence(None)).await?;
    let email = new.unwrap_or_else(|| link.email.to_string());
    Ok(prove(page, &email, standing == Standing::NotEnough, form))
}

/// Opens the link of the mail: shows a page that asks for confirmation. An invalid link redirects
/// to its callback at once, since there is nothing to ask.
pub(in crate::http) async fn open(
    State(app): State<Arc<App>>,
    credentials: Credentials,
    page: Page,
    query: Query,
) -> Result<Response, Error> {
    let callback = query.callback_url(&app)?;
    let token = query
        .no_longer_than("token", MAX_LINK_TOKEN)
        .unwrap_or_default();
    let link = match mail_links::open_at_verify_email(&app, token).await {
        Ok(link) => link,
        Err(error) => return led_to(callback.as_deref(), Err(error)).map_err(at_verify_email),
    };
    let asker = Asker::of(&app, &credentials).await?;
    ask(
        &app,
        &page,
        &link,
        &asker,
        Prove {
            token,
            callback: callback.as_deref(),
            refused: None,
        },
    )
    .await
}

/// Handles the form of that page.
pub(in crate::http) async fn act(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    page: Page,
    headers: HeaderMap,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let token = body.text("token", MAX_LINK_TOKEN);
    let callback = callback(&mut body);
    let password = body.optional_text("password", MAX_PASSWORD);
    let (token, callback, password) = body.finish((token, callback, password))?;
    let callback = callback.map(|url| app.config.server.mount.given(&url));
    let asker = Asker::of(&app, &credentials).await?;
    let purpose = mail_links::purpose_of(&app, &token);
    let outcome = match purpose {
        Some(Purpose::ApproveChange) => {
            let agreed = change_email::approve(&app, &token, callback.clone(), &requester)
                .await
                .map(|()| json!({ "status": true, "user": null }));
            let onward = callback.map(|url| after_agreement(&app, url));
            return led_to(onward.as_deref(), agreed)
                .map(after_post)
                .map_err(at_verify_email);
        }
        Some(Purpose::VerifyChange) => {
            change_email::confirm(
                &app,
                &token,
                asker.evidence(password.as_deref()),
                &requester,
            )
            .await
        }
        _ => {
            verify_email::verify(
                &app,
                &token,
                asker.evidence(password.as_deref()),
                &requester,
            )
            .await
        }
    };
    let is_form = headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    match outcome {
        Ok(Proof {
            choose: Some(choose),
            ..
        }) => Ok(choose_password(&app, &choose, callback.as_deref(), is_form)),
        Ok(Proof {
            user,
            choose: None,
            device,
        }) => {
            let shown = if purpose == Some(Purpose::VerifyChange) {
                views::user(&user)
            } else {
                serde_json::Value::Null
            };
            let mut answer = json!({ "status": true, "user": shown });
            // A client that holds tokens instead of cookies gets the new one in the answer.
            if credentials.from_browser {
                let mut response = led_to(callback.as_deref(), Ok(answer)).map(after_post)?;
                know_anew(&app, &credentials, &user, device, response.headers_mut());
                return Ok(response);
            }
            if let Some(device) = device {
                answer["deviceToken"] = device.into();
            }
            led_to(callback.as_deref(), Ok(answer)).map(after_post)
        }
        Err(error)
            if is_form
                && password.is_some()
                && !matches!(
                    error,
                    Refused::MailTokenInvalid | Refused::MailTokenExpired | Refused::UserNotFound
                ) =>
        {
            let link = mail_links::open_at_verify_email(&app, &token)
                .await
                .map_err(|error| at_verify_email(error.into()))?;
            ask(
                &app,
                &page,
                &link,
                &asker,
                Prove {
                    token: &token,
                    callback: callback.as_deref(),
                    refused: Some(error.into()),
                },
            )
            .await
        }
        Err(error) => led_to(callback.as_deref(), Err(error))
            .map(after_post)
            .map_err(at_verify_email),
    }
}

/// Redirects to the page on which the owner of the mailbox chooses a password, once. A script gets
/// the URL in JSON.
pub(super) fn choose_password(
    app: &App,
    token: &str,
    callback: Option<&str>,
    is_form: bool,
) -> Response {
    let path = format!(
        "{}/reset-password/{token}{}",
        app.config.server.base_path,
        query_of(callback.unwrap_or_default())
    );
    if is_form {
        return header_text::see_other(&path);
    }
    let url = format!(
        "{}{path}",
        app.config.server.public_url.as_str().trim_end_matches('/')
    );
    axum::Json(json!({ "status": true, "user": null, "redirect": true, "url": url }))
        .into_response()
}

/// Maps errors: at this path an invalid link is 401 (contract section 5.6).
fn at_verify_email(error: Error) -> Error {
    match error {
        Error::Flow(refused @ (Refused::MailTokenInvalid | Refused::MailTokenExpired)) => {
            Error::Link(StatusCode::UNAUTHORIZED, refused)
        }
        other => other,
    }
}
