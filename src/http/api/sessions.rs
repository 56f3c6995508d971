//! Reads, lists and ends one's own sessions; `GET /token`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::authenticated;
use crate::flows::permit::to;
use crate::flows::session::manage_sessions::{Here, Page};
use crate::flows::session::read_session::{Accepts, AuthFailure};
use crate::flows::session::session_tokens;
use crate::flows::session::{carried, manage_sessions, session_cache};
use crate::flows::token::issue_token;
use crate::flows::token::issue_token::Issued;
use crate::http::delivery::session_delivery::{Replaced, renewed};
use crate::http::delivery::views;
use crate::http::edge::body::{Fields, Optional};
use crate::http::edge::client::Client;
use crate::http::edge::cookies;
use crate::http::edge::cookies::{Clear, Name, SET_AUTH_JWT};
use crate::http::edge::credentials;
use crate::http::edge::credentials::{Acting, Authenticated, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::header_text;
use crate::http::edge::limits::{MAX_HANDLE, MAX_ID};
use crate::http::edge::query::Query;
use crate::http::edge::target;
use crate::model::audit::event::Requester;
use crate::model::session::session::{Delivery, End};
use crate::model::token::target::Target;

pub(in crate::http) async fn session(
    State(app): State<Arc<App>>,
    credentials: Credentials,
) -> Result<Response, Error> {
    let who = match credentials
        .authenticate(&app, Accepts::AccessTokenToo)
        .await?
    {
        Some(Ok(who)) => who,
        Some(Err(AuthFailure::Unrecognised)) => return Err(Error::InvalidToken),
        Some(Err(AuthFailure::SessionEnded(end))) => return Err(credentials::over(&app, end)),
        None => return Err(crate::flows::Error::Unauthorized.into()),
    };
    let answer = json!({ "session": views::session(&who.session), "user": views::user_with_permissions(&who.user, &who.powers) });
    Ok((renewed(&app, &who), Json(answer)).into_response())
}

/// Answers `200 null` if the client is not signed in, never 401; after a session has ended, its
/// cookies are cleared as well. With the cookie cache on, its content is the answer, without an
/// access token, because those are only issued for live sessions.
pub(in crate::http) async fn get_session(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    query: Query,
    _: Optional,
) -> Result<Response, Error> {
    let mut headers =
        HeaderMap::from_iter([(header::PRAGMA, HeaderValue::from_static("no-cache"))]);
    if let Some(cached) = credentials
        .cached_session(&app)
        .filter(|_| !query.flag("disableCookieCache"))
    {
        return Ok((headers, Json(cached)).into_response());
    }
    let mut end = None;
    let default = app.config.tokens.targets.default();
    let answer = match credentials
        .authenticate(&app, Accepts::SessionTokenOnly)
        .await?
    {
        Some(Ok(who)) => match mint(&app, &credentials, &who, default, &requester).await {
            // The refresh token of the request was stolen or lost: the session has just ended.
            Err(
                Refused::RefreshTokenReused
                | Refused::RefreshTokenRevoked
                | Refused::RefreshTokenExpired,
            ) => {
                end = Some(carried::end_of(&app, who.session.id).await?);
                Value::Null
            }
            // If a token may not or cannot be minted, the session is returned without one.
            minted => {
                headers.extend(renewed(&app, &who));
                headers.extend(
                    minted
                        .ok()
                        .map(|issued| (SET_AUTH_JWT, header_text::value(&issued.token))),
                );
                let answer = json!({ "session": views::client_session(&who.session), "user": views::session_user(&who.user, &who.powers) });
                remember(&app, &who, &answer, &mut headers);
                answer
            }
        },
        Some(Err(AuthFailure::SessionEnded(how))) => {
            end = Some(how);
            Value::Null
        }
        Some(Err(AuthFailure::Unrecognised)) | None => Value::Null,
    };
    if let Some(end) = end {
        credentials::clear_over(&app, &mut headers, end);
    }
    // A cache cookie that was not used is cleared, unless this answer sets another one, or the
    // cookie belongs to a session that was replaced meanwhile.
    if !credentials.cached_sessions.is_empty() && end.is_none_or(End::clears) {
        cookies::forget_cache(&app, &mut headers);
    }
    Ok((headers, Json(answer)).into_response())
}

pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut query: Query,
) -> Result<Response, Error> {
    let before = query.text("before", MAX_ID);
    let before = query.finish(before)?;
    let before = before
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| Error::BadRequest("before is not the id of a session".into()))?;
    // Impersonation sessions are not the user's own.
    let page = Page {
        limit: query.number("limit").unwrap_or(manage_sessions::PAGE),
        before,
        own: true,
    };
    let sessions = manage_sessions::list_own(&app, &who, page).await?;
    let views: Vec<Value> = sessions
        .iter()
        .map(|s| views::listed_session(s, Some(who.session.id)))
        .collect();
    Ok((renewed(&app, &who), Json(views)).into_response())
}

pub(in crate::http) async fn revoke(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let own = who.on_behalf::<to::RevokeSessions>(&app)?;
    let name = body.text("token", MAX_HANDLE);
    let name = body.finish(name)?;
    let carried = Replaced::of(&credentials);
    let ended = manage_sessions::revoke_own(
        &app,
        Here {
            who: own,
            carried: carried.borrow(),
        },
        &name,
        &requester,
    )
    .await?;
    let cookies = if ended {
        carried.cleared(&app, Clear::Session)
    } else {
        HeaderMap::new()
    };
    Ok((cookies, Json(json!({ "status": true }))).into_response())
}

pub(in crate::http) async fn revoke_all(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    credentials: Credentials,
    _: Optional,
) -> Result<Response, Error> {
    let own = who.on_behalf::<to::RevokeSessions>(&app)?;
    let carried = Replaced::of(&credentials);
    manage_sessions::revoke_all_own(
        &app,
        Here {
            who: own,
            carried: carried.borrow(),
        },
        &requester,
    )
    .await?;
    Ok((
        carried.cleared(&app, Clear::Session),
        Json(json!({ "status": true })),
    )
        .into_response())
}

pub(in crate::http) async fn revoke_others(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    _: Optional,
) -> Result<Response, Error> {
    let own = who.on_behalf::<to::RevokeSessions>(&app)?;
    manage_sessions::revoke_other_own(&app, own, &requester).await?;
    Ok(Json(json!({ "status": true })).into_response())
}

/// Mints an access token for a session cookie. Once the session has refreshed, the refresh cookie
/// is required, too.
pub(in crate::http) async fn token(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Authenticated(who): Authenticated,
    mut query: Query,
) -> Result<Response, Error> {
    let wanted = target::in_query(&mut query);
    let wanted = query.finish(wanted)?;
    let target = issue_token::target(&app, &wanted)?;
    let issued = mint(&app, &credentials, &who, &target, &requester).await?;
    Ok((renewed(&app, &who), Json(json!({ "token": issued.token }))).into_response())
}

/// Stores the answer in the cookie cache.
fn remember(
    app: &App,
    who: &authenticated::Authenticated,
    answer: &Value,
    headers: &mut HeaderMap,
) {
    let Some(token) = who
        .session_token
        .as_ref()
        .filter(|_| who.session.delivery == Delivery::Cookie)
    else {
        return;
    };
    let sealed = session_cache::seal(app, &who.session, token, who.ends_at(), answer);
    if let Some((value, until)) = sealed {
        cookies::set(
            app,
            headers,
            Name::SessionData,
            &value,
            who.session.remember.then_some(until),
        );
    }
}

/// Mints an access token for a session, authenticated by the refresh cookie of the request.
pub(super) async fn mint(
    app: &App,
    credentials: &Credentials,
    who: &authenticated::Authenticated,
    target: &Target,
    requester: &Requester,
) -> Result<Issued, Refused> {
    let vouching = match who.session.delivery {
        Delivery::Cookie => {
            carried::refresh_cookie_of(app, &credentials.refresh_cookies, who.session.id).await?
        }
        Delivery::Body => None,
    };
    session_tokens::mint(app, who, vouching, target, requester).await
}
