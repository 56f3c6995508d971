//! `POST /refresh`: the refresh token is in the cookie or in the body, never both. A kept token is
//! not sent again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows::session::carried;
use crate::flows::session::carried::RefreshCookie;
use crate::flows::session::refresh as flow;
use crate::flows::session::refresh::Renewed;
use crate::flows::session::refresh_token::Purpose;
use crate::flows::token::issue_token;
use crate::flows::{self};
use crate::model::audit::event::Requester;
use crate::model::session::session::Delivery;
use crate::model::session::ticket::TICKET_FORM;
use crate::model::token::target::Target;

use crate::http::delivery::views;
use crate::http::edge::body::Optional;
use crate::http::edge::client::Client;
use crate::http::edge::cookies;
use crate::http::edge::cookies::{Clear, Name};
use crate::http::edge::credentials;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_REFRESH_TOKEN, MAX_WORD};
use crate::http::edge::query::Query;
use crate::http::edge::target;

pub(in crate::http) async fn refresh(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    mut query: Query,
    Optional(mut body): Optional,
) -> Result<Response, Error> {
    let in_body = body.text_or_nothing("refreshToken", MAX_REFRESH_TOKEN);
    let optional = body.optional_bool("optional").or(false);
    let word = body.text_or_nothing("attempt", MAX_WORD);
    let attempt = body.check("attempt", word, TICKET_FORM, |word| {
        word.as_deref().map(str::parse).transpose().ok()
    });
    let wanted = target::in_body(&mut body);
    let (in_body, optional, attempt, wanted) = body.finish((in_body, optional, attempt, wanted))?;
    let in_query = target::in_query(&mut query);
    let wanted = wanted.and(query.finish(in_query)?);
    let without_token = in_body.is_none() && credentials.refresh_cookies.is_empty();
    if without_token {
        warn_of_a_lost_path(&app, &credentials);
        // A browser prints every 401 in its console, also for a page that only asks whether its
        // visitor is signed in.
        if optional {
            return Ok(Json(Value::Null).into_response());
        }
        return Err(flows::Error::RefreshTokenMissing.into());
    }
    // Before the refresh token is opened: an audience that is not available uses nothing up.
    let target = issue_token::target(&app, &wanted)?;
    let asked = Asked {
        purpose: Purpose::Refresh(attempt),
        target: &target,
    };
    match (in_body, credentials.refresh_cookies.is_empty()) {
        (Some(_), false) => Err(Error::BadRequest(
            "Send the refresh token in the cookie or in the body, not both".into(),
        )),
        (Some(token), true) => by_body(&app, &token, asked, &requester).await,
        (None, _) => by_cookie(&app, &credentials, asked, &requester).await,
    }
}

/// What a refresh is for, and the backend that its access token is for.
#[derive(Clone, Copy)]
struct Asked<'t> {
    purpose: Purpose,
    target: &'t Target,
}

/// Warns about a browser that sends the session cookie (whose path is `/`) but not the refresh
/// cookie (whose path is that of the API). Usually it is behind a proxy that strips a path which
/// `server.public_url` does not contain. Logged at most once an hour, because a client could cause
/// it repeatedly.
fn warn_of_a_lost_path(app: &App, credentials: &Credentials) {
    const AGAIN_AFTER: Duration = Duration::from_secs(3_600);
    static SAID_AT: Mutex<Option<Duration>> = Mutex::new(None);
    let ours = credentials
        .session_cookies
        .iter()
        .any(|cookie| crate::flows::session::credential::cookie_token(app, cookie).is_some());
    // By the uptime, because the wall clock may be set back.
    let now = app.uptime();
    let mut said_at = SAID_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if ours && said_at.is_none_or(|then| now.saturating_sub(then) >= AGAIN_AFTER) {
        *said_at = Some(now);
        let path = app.config.server.mount.api();
        tracing::warn!(
            path,
            "a browser with a session cookie has not sent the refresh cookie of this path; if a proxy strips a path, add that path to server.public_url"
        );
    }
}

async fn by_body(
    app: &App,
    token: &str,
    Asked { purpose, target }: Asked<'_>,
    requester: &Requester,
) -> Result<Response, Error> {
    let channel = Delivery::Body;
    let renewed = flow::refresh(app, token, channel, purpose, target, requester).await?;
    let mut answer = answer(&renewed);
    if let Some(token) = &renewed.refresh_token {
        answer["refreshToken"] = token.as_str().into();
        answer["refreshExpiresIn"] = renewed.ends_at().since(app.now()).as_secs().into();
    }
    Ok(Json(answer).into_response())
}

async fn by_cookie(
    app: &App,
    credentials: &Credentials,
    Asked { purpose, target }: Asked<'_>,
    requester: &Requester,
) -> Result<Response, Error> {
    let (chosen, session_lives) = carried::refresh_cookie(
        app,
        &credentials.session_cookies,
        &credentials.refresh_cookies,
    )
    .await?;
    // Cookies of another session are cleared; a live session cookie stays.
    let (token, clear) = match chosen {
        RefreshCookie::One(token) => (Some(token), Clear::Session),
        RefreshCookie::Foreign { token, lives } => (Some(token).filter(|_| !lives), Clear::Refresh),
        RefreshCookie::Invalid if session_lives => (None, Clear::Refresh),
        RefreshCookie::Invalid => (None, Clear::Session),
        RefreshCookie::Several => return Err(flows::Error::RefreshTokenInvalid.into()),
    };
    let outcome = match token {
        Some(token) => {
            flow::refresh(app, token, Delivery::Cookie, purpose, target, requester).await
        }
        None => Err(flows::Error::RefreshTokenInvalid),
    };
    let mut headers = HeaderMap::new();
    match outcome {
        Ok(renewed) => {
            set_cookies(app, &renewed, &credentials.session_cookies, &mut headers);
            Ok((headers, Json(answer(&renewed))).into_response())
        }
        Err(error) if is_final(&error) => {
            // When this answer arrives, the cookies may be those of a newer session of this
            // browser.
            let clears = match token {
                Some(token) => {
                    let end = carried::end_of_family(app, token).await?;
                    let clears = if clear == Clear::Session {
                        end.clears_after_refresh(app.now())
                    } else {
                        end.clears()
                    };
                    clears && credentials::is_certain(app, end)
                }
                None => true,
            };
            if clears {
                cookies::clear(app, &mut headers, clear);
            }
            Ok((headers, Error::Flow(error)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns whether the client has no valid token left after this error.
fn is_final(error: &flows::Error) -> bool {
    use flows::Error as E;
    matches!(
        error,
        E::RefreshTokenInvalid
            | E::RefreshTokenExpired
            | E::RefreshTokenRevoked
            | E::RefreshTokenReused
    )
}

fn set_cookies(app: &App, renewed: &Renewed, session_cookies: &[String], headers: &mut HeaderMap) {
    let until = |at| renewed.session.remember.then_some(at);
    if let Some(cookie) = flow::renew_session_cookie(app, renewed, session_cookies) {
        cookies::set(
            app,
            headers,
            Name::Session,
            &cookie,
            until(renewed.ends_at()),
        );
    }
    if let Some(token) = &renewed.refresh_token {
        cookies::set(
            app,
            headers,
            Name::Refresh,
            token,
            until(renewed.session.state.expires_at),
        );
    }
}

fn answer(renewed: &Renewed) -> Value {
    json!({
        "accessToken": renewed.access.token,
        "tokenType": "Bearer",
        "expiresIn": renewed.access.expires_in,
        // A client drops its ticket when a successor has come.
        "rotated": renewed.refresh_token.is_some(),
        "session": views::own_session(renewed.session.session, renewed.session.state.expires_at),
        "user": views::session_user(&renewed.user, &renewed.powers),
    })
}
