//! The buttons with which an admin begins to act as a user, and stops.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::permit::to;
use crate::flows::session::impersonate;

use super::pieces::user_path;
use super::user::{parsed, respond};
use crate::http::delivery::{acting, views};
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::pages::visitor::{SignedForm, see_other};

/// Begins to act as the user and shows the account of the user.
pub(in crate::http::pages) async fn begin(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::Impersonate>(&app)?;
    let id = parsed(&id)?;
    match impersonate::start(&app, permitted, id, &visitor.requester).await {
        Ok((user, grant)) => {
            let mut answer = json!({ "user": views::session_user(&user, &grant.powers) });
            let headers = acting::begun(&app, &visitor.who, &grant, &mut answer);
            Ok((headers, see_other("/auth/account")).into_response())
        }
        Err(error) => respond::<()>(&visitor, id, "", Err(error)).await,
    }
}

/// Stops acting and shows the page of the user again; without a session of one's own to return to,
/// the sign-in page.
pub(in crate::http::pages) async fn stop(
    State(app): State<Arc<App>>,
    credentials: Credentials,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    let who = &visitor.who;
    let set_aside = &credentials.admin_sessions;
    let stopped = impersonate::stop(&app, who, set_aside, &visitor.requester).await;
    let (user, grant) = match stopped {
        // The button was pressed twice.
        Err(Refused::NotImpersonating) => return Ok(see_other("/auth/account")),
        stopped => stopped?,
    };
    let back = if grant.is_some() {
        format!("{}?done=acted", user_path(&who.user.id.to_string()))
    } else {
        "/auth/sign-in?done=signed_out".to_owned()
    };
    let mut answer = json!({ "user": views::user(&user) });
    let headers = acting::ended(&app, who, grant.as_ref(), &mut answer);
    Ok((headers, see_other(&back)).into_response())
}
