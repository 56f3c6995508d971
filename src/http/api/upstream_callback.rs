//! `/callback/{id}`: another issuer sends a browser back, by a redirect or with a form. The answer is
//! a redirect, with a word in its query if something failed; a form of another site is first sent once more
//! from a page of this one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::emails::{after_post, redirect};
use crate::app::App;
use crate::flows::federation::Urls;
use crate::flows::federation::callback::{self, Done, Returned};
use crate::flows::federation::refused::{Failed, Refused};
use crate::flows::limit::known_device;
use crate::flows::login::sign_in::SignedIn;
use crate::flows::session::read_session::Accepts;
use crate::http::delivery::session_delivery::Replaced;
use crate::http::delivery::{second_step, upstream as delivery, views};
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::cookies;
use crate::http::edge::cookies::Name;
use crate::http::edge::cookies::upstream as states;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_FIRST_USER, MAX_UPSTREAM_CODE, MAX_URL};
use crate::http::edge::origin;
use crate::http::edge::query::Query;
use crate::http::edge::redirects::query_of;
use crate::http::pages::{Page, returned};
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;

/// What the issuer sends, and what the browser has kept.
struct Sent {
    provider: String,
    kept: Vec<String>,
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    user: Option<String>,
}

impl Sent {
    fn returned(&self) -> Returned<'_> {
        Returned {
            provider: &self.provider,
            sealed: &self.kept,
            state: self.state.as_deref(),
            code: self.code.as_deref(),
            iss: self.iss.as_deref(),
            error: self.error.as_deref(),
            first_user: self.user.as_deref(),
        }
    }

    /// Lists the fields of the form, for another one.
    fn fields(&self) -> Vec<(&'static str, &str)> {
        [
            ("state", &self.state),
            ("code", &self.code),
            ("iss", &self.iss),
            ("error", &self.error),
            ("user", &self.user),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect()
    }
}

/// Answers a browser that was redirected.
pub(in crate::http) async fn redirected(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    Client(requester): Client,
    credentials: Credentials,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Error> {
    let state = text(&query, "state", MAX_CODE);
    let sent = Sent {
        provider,
        kept: kept(&app, &headers, state.as_deref()),
        state,
        code: text(&query, "code", MAX_UPSTREAM_CODE),
        iss: text(&query, "iss", MAX_URL),
        // A longer one is no word that is known, and an error all the same.
        error: query
            .has("error")
            .then(|| text(&query, "error", MAX_CODE).unwrap_or_default()),
        user: None,
    };
    finish(&app, &sent, &credentials, &requester).await
}

fn text(query: &Query, name: &str, longest: usize) -> Option<String> {
    query.no_longer_than(name, longest).map(str::to_owned)
}

fn kept(app: &App, headers: &HeaderMap, state: Option<&str>) -> Vec<String> {
    states::kept(app, headers, state.unwrap_or_default())
}

/// Answers a browser that was sent with a form.
pub(in crate::http) async fn posted(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    Client(requester): Client,
    credentials: Credentials,
    headers: HeaderMap,
    page: Page,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let state = body.optional_text("state", MAX_CODE);
    let code = body.optional_text("code", MAX_UPSTREAM_CODE);
    let iss = body.optional_text("iss", MAX_URL);
    let error = body.optional_text("error", MAX_CODE);
    let user = body.optional_text("user", MAX_FIRST_USER);
    let mark = body.optional_text(returned::MARK, MAX_CODE);
    let (state, code, iss, error, user, mark) =
        body.finish((state, code, iss, error, user, mark))?;
    let sent = Sent {
        provider,
        kept: kept(&app, &headers, state.as_deref()),
        state,
        code,
        iss,
        error,
        user,
    };
    let posting = app.config.upstream.find(&sent.provider);
    if let Some(provider) = posting.filter(|provider| provider.posts_form())
        && mark.is_none()
        && origin::is_without_cookies(&app, &headers, !sent.kept.is_empty())
    {
        let urls = callback::urls(&app, sent.returned());
        return Ok(returned::post_again(
            &page,
            &provider.name,
            &sent.fields(),
            &urls,
        ));
    }
    let answer = finish(&app, &sent, &credentials, &requester).await?;
    Ok(after_post(answer))
}

async fn finish(
    app: &Arc<App>,
    sent: &Sent,
    credentials: &Credentials,
    requester: &Requester,
) -> Result<Response, Error> {
    let state = sent.state.as_deref().unwrap_or_default();
    let presented = Replaced::of(credentials);
    let own = own(app, credentials).await?;
    let done = callback::finish(app, sent.returned(), presented.borrow(), own, requester);
    let mut answer = match Box::pin(done).await {
        Ok(done) => led_on(app, &done, &presented, credentials),
        Err(Failed { why, urls }) => led_back(app, &urls, why),
    };
    if !sent.kept.is_empty() {
        let posts = app
            .config
            .upstream
            .find(&sent.provider)
            .is_some_and(|provider| provider.posts_form());
        states::forget(app, answer.headers_mut(), state, posts);
    }
    Ok(answer)
}

/// Returns the user of the session of this browser, if it has one.
///
/// # Errors
/// The faults of the look-up: no identity is linked while it is unknown who is signed in, and the state
/// is not used up.
async fn own(app: &App, credentials: &Credentials) -> Result<Option<UserId>, Error> {
    let who = credentials.authenticate(app, Accepts::SessionTokenOnly);
    match who.await {
        Ok(Some(Ok(who))) => Ok(Some(who.user.id)),
        Ok(Some(Err(_)) | None) => Ok(None),
        Err(error) => Err(error),
    }
}

fn led_back(app: &App, urls: &Urls, why: Refused) -> Response {
    let (target, pair) = delivery::after_failure(app, urls, why);
    redirect(&target, Some(pair))
}

/// Sets the cookies, and leads on; a sign-in that waits for its second step leads to its page.
fn led_on(app: &App, done: &Done, presented: &Replaced<'_>, credentials: &Credentials) -> Response {
    match done {
        Done::Linked(urls) => redirect(delivery::onward(app, urls, false), None),
        Done::Ask(sealed) => {
            let mount = &app.config.server.mount;
            let page = mount.outside("/auth/account/connect").into_owned();
            redirect(&format!("{page}?link={sealed}"), None)
        }
        Done::Unverified { device, urls } => {
            let mut answer = led_back(app, urls, Refused::EmailNotVerified);
            // With it the link of the mail is opened by the browser that made the account.
            if let Some(device) = device.as_ref().filter(|_| credentials.devices.is_empty()) {
                let until = Some(app.now() + known_device::LIFETIME);
                cookies::set(app, answer.headers_mut(), Name::Device, device, until);
            }
            answer
        }
        Done::SignedIn {
            signed_in,
            is_new,
            urls,
        } => {
            let onward = delivery::onward(app, urls, *is_new);
            match signed_in {
                SignedIn::Session(user, grant) => {
                    let mut headers = HeaderMap::new();
                    let mut shown = json!({ "user": views::user(user) });
                    presented.deliver(app, grant, &mut shown, &mut headers);
                    (headers, redirect(onward, None)).into_response()
                }
                SignedIn::Pending(pending) => {
                    let headers = second_step::pending(app, presented, pending);
                    // Without a target of the client the page knows by itself where to lead.
                    let target = delivery::target(urls, *is_new).map(query_of);
                    let page = second_step::page(app, &target.unwrap_or_default());
                    (headers, redirect(&page, None)).into_response()
                }
            }
        }
    }
}
