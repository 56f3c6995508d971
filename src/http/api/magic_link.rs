//! `/sign-in/magic-link` and `/magic-link/verify`: a link in a mail that signs its reader in. Opening it
//! shows a page and changes nothing, because mail scanners follow links, and some of them run scripts;
//! the form of the page signs in. A script of an application that fetches the link acts at once, as with
//! Better Auth: in the browser that asked for it, or from a page of a trusted origin.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::mail_sign_in::{self, Arrival, ByMail};
use crate::flows::login::email_code::{self, Callbacks, Wanted};
use crate::flows::login::sign_in::SignedIn;
use crate::flows::session::open_session::Options;
use crate::model::audit::event::Requester;
use crate::model::login::email_code::CodePurpose;
use crate::model::session::session::Delivery;
use crate::model::session::ticket::Retry;

use super::emails::{after_post, redirect};
use crate::http::delivery::asker::Asker;
use crate::http::delivery::email_code::{Asking, Held, give};
use crate::http::delivery::second_step;
use crate::http::delivery::session_delivery::{Replaced, session_options};
use crate::http::delivery::{signed_in, views};
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_DEVICE_TOKEN, MAX_EMAIL, MAX_LINK_TOKEN};
use crate::http::edge::query::Query;
use crate::http::edge::redirects::{Targets, query_of, targets};
use crate::http::pages::Page;
use crate::http::pages::device::named;
use crate::http::pages::magic_link::{Asked, ask};

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Mails a link, with a code beside it.
pub(in crate::http) async fn send(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let email = body.text("email", MAX_EMAIL);
    let name = body.checked_text("name");
    let targets = targets(&mut body);
    let client = Asking::read(&mut body);
    let (email, name, targets, client) = body.finish((email, name, targets, client))?;
    let wanted = Wanted {
        email: email.parse().map_err(|_| Refused::InvalidEmail)?,
        purpose: CodePurpose::SignIn,
        has_link: true,
        name,
        callbacks: Callbacks {
            done: targets.done,
            new_user: targets.new_user,
            failed: targets.failed,
        },
    };
    let held = client.held(&credentials);
    let asked = email_code::request(&app, wanted, held.borrow(), &requester).await?;
    let (mut answer, mut headers) = (json!({ "status": true }), HeaderMap::new());
    give(&app, &asked, client.delivery, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}

/// Returns whether a request is a script's that may sign its browser in: it fetches and does not
/// navigate, and either has the cookie of the browser that asked (`is_own`) or comes from a page of a
/// trusted origin. No scanner of mails has one or the other. A native app with that cookie sends no
/// Fetch Metadata, and asks for no page.
fn is_of_a_script(app: &App, method: &Method, headers: &HeaderMap, is_own: bool) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let asks_for_page = text(&header::ACCEPT).is_some_and(|types| types.contains("text/html"));
    let fetches = match text(&SEC_FETCH_MODE) {
        Some(mode) => matches!(mode, "cors" | "same-origin"),
        None => is_own && !asks_for_page,
    };
    let trusted = &app.config.server.trusted_origins;
    let is_trusted = match text(&header::ORIGIN) {
        Some(origin) => trusted.contains(origin),
        None => is_own || text(&SEC_FETCH_SITE) == Some("same-origin"),
    };
    *method == Method::GET && fetches && is_trusted
}

/// Opens the link of the mail.
pub(in crate::http) async fn open(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    method: Method,
    headers: HeaderMap,
    credentials: Credentials,
    page: Page,
    query: Query,
) -> Result<Response, Error> {
    let targets = query.targets(&app)?;
    let token = query
        .no_longer_than("token", MAX_LINK_TOKEN)
        .unwrap_or_default();
    let held = Held::of(&credentials, None, None);
    let opened = match mail_sign_in::look(&app, token, held.borrow().bindings).await {
        Ok(opened) => opened,
        Err(error) => return failed(&targets, error),
    };
    if is_of_a_script(&app, &method, &headers, opened.is_own) {
        let link = Link {
            token,
            targets: &targets,
            options: IN_A_BROWSER,
            device: None,
            is_form: false,
        };
        let presented = Replaced::of(&credentials);
        return act(&app, &link, &credentials, &presented, &requester).await;
    }
    let text = |url: &Option<String>| url.clone().unwrap_or_default();
    Ok(ask(
        &page,
        &Asked {
            email: &opened.email,
            token,
            callback: &text(&targets.done),
            new_user_callback: &text(&targets.new_user),
            error_callback: &text(&targets.failed),
            is_own: opened.is_own,
            device: named(&page, &opened.user_agent),
            asked_at: opened.asked_at,
        },
    ))
}

const IN_A_BROWSER: Options = Options {
    delivery: Delivery::Cookie,
    remember: true,
    retry: Retry::Window,
};

/// Handles the form of that page, and the request of a program.
pub(in crate::http) async fn submit(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    headers: HeaderMap,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let token = body.text("token", MAX_LINK_TOKEN);
    let targets = targets(&mut body);
    let session = session_options(&mut body);
    let device = body.text_or_nothing("deviceToken", MAX_DEVICE_TOKEN);
    let remembered = body.text_or_nothing("trustedDeviceToken", MAX_DEVICE_TOKEN);
    let (token, targets, (options, _callback), device, remembered) =
        body.finish((token, targets, session, device, remembered))?;
    let is_form = headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    let link = Link {
        token: &token,
        targets: &targets.given(&app),
        options,
        device: device.as_deref(),
        is_form,
    };
    let presented = Replaced::of(&credentials)
        .with_device(device.as_deref())
        .with_remembered(remembered.as_deref());
    act(&app, &link, &credentials, &presented, &requester)
        .await
        .map(after_post)
}

/// A link that is to be used.
struct Link<'l> {
    token: &'l str,
    targets: &'l Targets,
    options: Options,
    /// The token of a device that a native client sent.
    device: Option<&'l str>,
    /// Whether a page of this service sent it, so that the answer always leads on.
    is_form: bool,
}

/// Signs in, and leads to where the link leads.
async fn act(
    app: &Arc<App>,
    link: &Link<'_>,
    credentials: &Credentials,
    presented: &Replaced<'_>,
    requester: &Requester,
) -> Result<Response, Error> {
    let asker = Asker::of(app, credentials).await?.with_device(link.device);
    let arrival = Arrival {
        options: link.options,
        presented: presented.borrow(),
        evidence: asker.evidence(None),
    };
    let done = match mail_sign_in::by_link(app, link.token, arrival, requester).await {
        Ok(done) => done,
        Err(error) => return failed(link.targets, error),
    };
    let home = link.is_form.then_some(app.config.pages.home.as_str());
    match link.targets.after(done.is_new).or(home) {
        // A native client has its tokens in the body.
        Some(onward) if link.options.delivery == Delivery::Cookie => {
            Ok(led_on(app, &done, presented, onward))
        }
        _ => Ok(told(app, &done, presented)),
    }
}

/// Answers a script with the session.
fn told(app: &App, done: &ByMail, presented: &Replaced<'_>) -> Response {
    signed_in::answer(app, &done.signed_in, presented, |answer| {
        if let SignedIn::Session(_, grant) = &done.signed_in {
            answer["session"] = views::client_session(&grant.session);
        }
    })
}

/// Sets the cookies, and leads on; a sign-in that waits for its second step leads to its page.
fn led_on(app: &App, done: &ByMail, presented: &Replaced<'_>, onward: &str) -> Response {
    match &done.signed_in {
        SignedIn::Session(user, grant) => {
            let mut headers = HeaderMap::new();
            let mut answer = json!({ "user": views::user(user) });
            presented.deliver(app, grant, &mut answer, &mut headers);
            (headers, redirect(onward, None)).into_response()
        }
        SignedIn::Pending(pending) => {
            let headers = second_step::pending(app, presented, pending);
            let page = second_step::page(app, &query_of(onward));
            (headers, redirect(&page, None)).into_response()
        }
    }
}

/// Leads a link that is no longer good to where the client wants it, else to the front page, which
/// says so.
fn failed(targets: &Targets, error: Refused) -> Result<Response, Error> {
    match error {
        Refused::MailTokenInvalid | Refused::MailTokenExpired => {
            let target = targets.after_failure().unwrap_or("/");
            Ok(redirect(target, Some(("error", "INVALID_TOKEN"))))
        }
        Refused::SignUpDisabled => {
            let target = targets.after_failure().unwrap_or("/");
            Ok(redirect(
                target,
                Some(("error", "new_user_signup_disabled")),
            ))
        }
        error => Err(error.into()),
    }
}
