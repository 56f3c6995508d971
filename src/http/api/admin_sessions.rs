//! `/admin/…` about sessions: other people's, and acting as somebody.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::administer_users as administer;
use crate::flows::authority::Authority;
use crate::flows::session::manage_sessions::Page;
use crate::flows::session::{impersonate, manage_sessions};
use crate::model::account::permission;
use crate::model::audit::event::Peer;
use crate::model::kernel::id::SessionId;
use crate::model::session::session::Delivery;

use super::accounts::{deliver, end_all};
use super::admin::user_id;
use super::views;
use crate::http::edge::body::{Fields, Optional};
use crate::http::edge::client::Client;
use crate::http::edge::cookies;
use crate::http::edge::cookies::{Clear, Name};
use crate::http::edge::credentials::{Acting, Authenticated, Credentials};
use crate::http::edge::error::Error;

pub(in crate::http) async fn list_sessions(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut body: Fields,
) -> Result<Response, Error> {
    Authority::Session(&who).may(&app, permission::Action::ListSessions)?;
    let before = body
        .nullable_text("before", 64)
        .filter(|text| !text.is_empty())
        .map(|text| text.parse())
        .transpose();
    let before =
        before.map_err(|_| Error::BadRequest("before is not the id of a session".into()))?;
    let page = Page {
        limit: body.count("limit").unwrap_or(manage_sessions::PAGE),
        before,
        own: false,
    };
    // An unknown user has no sessions.
    let sessions = match user_id(&mut body) {
        Ok(id) => manage_sessions::list(&app, id, page).await?,
        Err(Error::Flow(Refused::UserNotFound)) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(Json(json!({ "sessions": sessions.iter().map(|s| views::listed_session(s, Some(who.session.id))).collect::<Vec<_>>() })).into_response())
}

/// The cookies to clear where the session of the request has ended itself: every session that they
/// name ends with it, as at a sign-out.
pub(in crate::http) async fn left(
    app: &App,
    ended_itself: bool,
    credentials: &Credentials,
    peer: &Peer,
) -> Result<HeaderMap, Error> {
    if ended_itself {
        end_all(app, credentials, &[], peer).await
    } else {
        Ok(HeaderMap::new())
    }
}

pub(in crate::http) async fn revoke_session(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::RevokeSessions)?;
    let handle = body.text("sessionToken", 256);
    body.finish()?;
    let id = handle.parse::<SessionId>().ok();
    if let Some(id) = id {
        manage_sessions::revoke_of_somebody(&app, by, id, &peer).await?;
    }
    let cleared = left(&app, id == Some(who.session.id), &credentials, &peer).await?;
    Ok((cleared, Json(json!({ "success": true }))).into_response())
}

pub(in crate::http) async fn revoke_sessions(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::RevokeSessions)?;
    let ended_itself = match user_id(&mut body) {
        Ok(id) => {
            administer::target(&app, by, permission::Action::RevokeSessions, id).await?;
            manage_sessions::revoke_of_user(&app, id, None, &peer).await?;
            id == who.user.id
        }
        Err(Error::Flow(Refused::UserNotFound)) => false,
        Err(error) => return Err(error),
    };
    Ok((
        left(&app, ended_itself, &credentials, &peer).await?,
        Json(json!({ "success": true })),
    )
        .into_response())
}

pub(in crate::http) async fn impersonate_user(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    Authority::Session(&who).may(&app, permission::Action::Impersonate)?;
    let id = user_id(&mut body)?;
    let (user, grant) = impersonate::start(&app, &who, id, &peer).await?;
    let mut answer = json!({ "session": views::client_session(&grant.session), "user": views::session_user(&user, &grant.powers) });
    let mut headers = HeaderMap::new();
    if who.session.delivery == Delivery::Cookie {
        cookies::clear(&app, &mut headers, Clear::Session);
        if let Some(own) = impersonate::set_aside(&app, &who) {
            cookies::set(
                &app,
                &mut headers,
                Name::AdminSession,
                &own,
                who.session.remember.then_some(who.session.expires_at),
            );
        }
    }
    deliver(&app, &grant, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}

pub(in crate::http) async fn stop_impersonating(
    State(app): State<Arc<App>>,
    Client(peer): Client,
    credentials: Credentials,
    Authenticated(who): Authenticated,
    _: Optional,
) -> Result<Response, Error> {
    let (user, grant) = impersonate::stop(&app, &who, &credentials.admin_sessions, &peer).await?;
    let session = grant.as_ref().map(|g| views::client_session(&g.session));
    let mut answer = json!({ "session": session, "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    if who.session.delivery == Delivery::Cookie {
        cookies::clear(&app, &mut headers, Clear::Session);
        cookies::clear_one(&app, &mut headers, Name::AdminSession);
    }
    if let Some(grant) = &grant {
        deliver(&app, grant, &mut answer, &mut headers);
    }
    Ok((headers, Json(answer)).into_response())
}
