//! The buttons that end one session, or all sessions, of a user.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::permit::to;
use crate::flows::session::manage_sessions;
use crate::model::kernel::id::SessionId;

use super::user::{parsed, respond};
use crate::http::delivery::signed_out::left;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_ID;
use crate::http::pages::visitor::{SignedForm, SignedIn, see_other};

pub(in crate::http::pages) async fn end_one(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    credentials: Credentials,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::RevokeSessions>(&app)?;
    let handle = fields.text("session", MAX_ID);
    let handle = fields.finish(handle)?;
    let id = parsed(&id)?;
    let session: SessionId = handle.parse().map_err(|_| Refused::SessionNotFound)?;
    let outcome = manage_sessions::revoke_by_id(&app, permitted, session, &visitor.requester).await;
    if outcome.is_ok() && session == visitor.who.session.id {
        return signed_out(&app, &visitor, &credentials).await;
    }
    respond(&visitor, id, "session", outcome).await
}

pub(in crate::http::pages) async fn end_all(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    credentials: Credentials,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    let id = parsed(&id)?;
    let permitted = visitor.who.require::<to::RevokeSessions>(&app)?;
    let outcome = manage_sessions::revoke_of_user(&app, permitted, id, &visitor.requester).await;
    if outcome.is_ok() && id == visitor.who.user.id {
        return signed_out(&app, &visitor, &credentials).await;
    }
    respond(&visitor, id, "sessions", outcome).await
}

/// Answers visitors who have ended the session of this request.
async fn signed_out(
    app: &App,
    visitor: &SignedIn,
    credentials: &Credentials,
) -> Result<Response, Error> {
    Ok((
        left(app, true, credentials, &visitor.requester).await?,
        see_other("/auth/sign-in?done=signed_out"),
    )
        .into_response())
}
