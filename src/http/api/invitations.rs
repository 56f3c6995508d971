//! `/admin/invite-user`: an addition to Better Auth's admin plugin, which has no invitations. The
//! link leads to the page that `redirectTo` names, or to the page of this service on which a
//! password is chosen.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::invite_user;
use crate::flows::account::invite_user::Invitation;
use crate::flows::permit::to;

use crate::http::delivery::views;
use crate::http::edge::body::Fields;
use crate::http::edge::credentials::Acting;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_EMAIL, MAX_ROLES, MAX_URL};

pub(in crate::http) async fn invite(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    body: Fields,
) -> Result<Response, Error> {
    let mut body = body.without_nulls();
    let permitted = who.require::<to::CreateUser>(&app)?;
    let email = body.text("email", MAX_EMAIL);
    let name = body.checked_text("name").or_default();
    let role = body.comma_joined("role", MAX_ROLES).or("user".into());
    let redirect = body
        .optional_text("redirectTo", MAX_URL)
        .filter(|url| !url.is_empty());
    let (email, name, role, redirect) = body.finish((email, name, role, redirect))?;
    let email = email.parse().map_err(|_| Refused::InvalidEmail)?;
    let user = invite_user::invite(
        &app,
        permitted,
        Invitation {
            email,
            name,
            role,
            redirect,
        },
        &requester,
    )
    .await?;
    Ok(Json(json!({ "user": views::user(&user) })).into_response())
}
