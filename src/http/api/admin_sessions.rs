//! `/admin/…` about sessions: those of other users, and impersonation.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::permit::to;
use crate::flows::session::manage_sessions::Page;
use crate::flows::session::{impersonate, manage_sessions};
use crate::http::delivery::acting;
use crate::http::delivery::signed_out::left;
use crate::http::delivery::views;
use crate::http::edge::body::{Fields, Optional};
use crate::http::edge::client::Client;
use crate::http::edge::credentials::{Acting, Authenticated, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_HANDLE, MAX_ID};
use crate::model::kernel::id::{SessionId, UserId};

pub(in crate::http) async fn list_sessions(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::ListSessions>(&app)?;
    let before = body
        .nullable_text("before", MAX_ID)
        .filter(|text| !text.is_empty());
    let limit = body.count("limit").or(manage_sessions::PAGE);
    let id = body.id::<UserId>("userId");
    let (before, limit, id) = body.finish((before, limit, id))?;
    let before = before.map(|text| text.parse()).transpose();
    let page = Page {
        limit,
        before: before
            .map_err(|_| Error::BadRequest("before is not the id of a session".into()))?,
        own: false,
    };
    // An unknown user has an empty list of sessions.
    let sessions = match id {
        Some(id) => manage_sessions::list_of_user(&app, permitted, id, page).await?,
        None => Vec::new(),
    };
    Ok(Json(json!({ "sessions": sessions.iter().map(|s| views::listed_session(s, Some(who.session.id))).collect::<Vec<_>>() })).into_response())
}

pub(in crate::http) async fn revoke_session(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::RevokeSessions>(&app)?;
    let handle = body.text("sessionToken", MAX_HANDLE);
    let handle = body.finish(handle)?;
    let id = handle.parse::<SessionId>().ok();
    if let Some(id) = id {
        manage_sessions::revoke_by_id(&app, permitted, id, &requester).await?;
    }
    let cleared = left(&app, id == Some(who.session.id), &credentials, &requester).await?;
    Ok((cleared, Json(json!({ "success": true }))).into_response())
}

pub(in crate::http) async fn revoke_sessions(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    credentials: Credentials,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::RevokeSessions>(&app)?;
    let id = body.id::<UserId>("userId");
    let ended_itself = match body.finish(id)? {
        Some(id) => {
            manage_sessions::revoke_of_user(&app, permitted, id, &requester).await?;
            id == who.user.id
        }
        None => false,
    };
    Ok((
        left(&app, ended_itself, &credentials, &requester).await?,
        Json(json!({ "success": true })),
    )
        .into_response())
}

pub(in crate::http) async fn impersonate_user(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::Impersonate>(&app)?;
    let id = body.id::<UserId>("userId");
    let id = body.finish(id)?.ok_or(Refused::UserNotFound)?;
    let (user, grant) = impersonate::start(&app, permitted, id, &requester).await?;
    let mut answer = json!({ "session": views::client_session(&grant.session), "user": views::session_user(&user, &grant.powers) });
    let headers = acting::begun(&app, &who, &grant, &mut answer);
    Ok((headers, Json(answer)).into_response())
}

pub(in crate::http) async fn stop_impersonating(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    credentials: Credentials,
    Authenticated(who): Authenticated,
    _: Optional,
) -> Result<Response, Error> {
    let (user, grant) =
        impersonate::stop(&app, &who, &credentials.admin_sessions, &requester).await?;
    let session = grant.as_ref().map(|g| views::client_session(&g.session));
    let mut answer = json!({ "session": session, "user": views::user(&user) });
    let headers = acting::ended(&app, &who, grant.as_ref(), &mut answer);
    Ok((headers, Json(answer)).into_response())
}
