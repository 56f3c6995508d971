//! `/admin/…`: what Better Auth's admin plugin offers (contract section 7), by the same flows as
//! the command line.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::administer_users as administer;
use crate::flows::account::administer_users::{Ban, Changes};
use crate::flows::account::{change_password, manage_users};
use crate::flows::authority::Authority;
use crate::model::account::email::Email;
use crate::model::account::permission;
use crate::model::kernel::id::UserId;

use super::accounts::{MAX_NAME, MAX_PASSWORD, MAX_URL};
use super::views;
use crate::http::edge::body::Fields;
use crate::http::edge::credentials::{Acting, Authenticated};
use crate::http::edge::error::Error;

const MAX_ID: usize = 64;
const MAX_ROLES: usize = 1_024;
const MAX_REASON: usize = 1_024;

/// The id of a user; one that is none names nobody.
pub(in crate::http) fn user_id(body: &mut Fields) -> Result<UserId, Error> {
    let text = body.text_or_number("userId", MAX_ID);
    let checked = std::mem::take(body);
    checked.finish()?;
    text.parse().map_err(|_| Refused::UserNotFound.into())
}

/// A role or several, as one comma-joined text.
pub(in crate::http) fn role(fields: &mut Fields, name: &str) -> Option<String> {
    let roles = fields.texts(name, MAX_ROLES)?;
    Some(roles.join(","))
}

pub(in crate::http) async fn get_user(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    query: crate::http::edge::query::Query,
) -> Result<Response, Error> {
    let id = query.one("id").ok_or_else(|| Error::missing("id"))?;
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::GetUser)?;
    let user = administer::get(&app, by, id.parse().map_err(|_| Refused::UserNotFound)?).await?;
    Ok(Json(views::user(&user)).into_response())
}

pub(in crate::http) async fn list_users(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    query: crate::http::edge::query::Query,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::ListUsers)?;
    let search = query.search()?;
    let (limit, offset) = (query.number("limit"), query.number("offset"));
    let (users, total) = administer::search(&app, by, search).await?;
    let mut answer =
        json!({ "users": users.iter().map(views::user).collect::<Vec<_>>(), "total": total });
    for (name, value) in [("limit", limit), ("offset", offset)] {
        if let Some(value) = value.filter(|v| *v != 0) {
            answer[name] = value.into();
        }
    }
    Ok(Json(answer).into_response())
}

pub(in crate::http) async fn create_user(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::CreateUser)?;
    let email = body.text("email", MAX_NAME * 4);
    let name = body.text("name", MAX_NAME);
    let password = body.optional_text("password", MAX_PASSWORD);
    let role = role(&mut body, "role").unwrap_or_else(|| "user".into());
    let mut data = body.record("data").unwrap_or_default();
    let image = data.optional_text("image", MAX_URL);
    let email_verified = data.optional_bool("emailVerified").unwrap_or(false);
    let metadata = data.object("metadata").unwrap_or_default();
    body.finish()?;
    data.finish()?;
    let email: Email = email.parse().map_err(|_| Refused::InvalidEmail)?;
    let new = manage_users::New {
        email,
        name,
        image,
        password,
        role,
        email_verified,
        metadata,
    };
    let user = manage_users::create(&app, by, new, &peer).await?;
    Ok(Json(json!({ "user": views::user(&user) })).into_response())
}

pub(in crate::http) async fn update_user(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::UpdateUser)?;
    let data = body.record("data");
    if data.is_none() {
        body.problem("data", "is required");
    }
    let id = user_id(&mut body)?;
    let changes = changes(data.unwrap_or_default())?;
    let user = administer::update(&app, by, id, changes, &peer).await?;
    Ok(Json(views::user(&user)).into_response())
}

/// What `data` says; what it says of anything else is ignored, as Better Auth does.
fn changes(mut data: Fields) -> Result<Changes, Error> {
    if data.has("password") {
        return Err(Refused::PasswordViaUpdate.into());
    }
    if data.has("id") {
        return Err(Refused::UserIdCannotBeUpdated.into());
    }
    let email = data.has("email").then(|| data.text("email", MAX_NAME * 4));
    let banned = data.optional_bool("banned");
    let reason = data.nullable_text("banReason", MAX_REASON);
    let ends_at = data.time("banExpires");
    let changes = Changes {
        name: data.has("name").then(|| data.text("name", MAX_NAME)),
        email: email
            .map(|e| e.parse().map_err(|_| Refused::InvalidEmail))
            .transpose()?,
        email_verified: data.optional_bool("emailVerified"),
        image: data.nullable_text("image", MAX_URL),
        role: role(&mut data, "role"),
        ban: banned.map(|banned| {
            if banned {
                Ban::Set {
                    reason: reason.unwrap_or_default(),
                    ends_at,
                }
            } else {
                Ban::Lifted
            }
        }),
        metadata: data.object("metadata"),
    };
    data.finish()?;
    Ok(changes)
}

pub(in crate::http) async fn set_role(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::SetRole)?;
    let role = role(&mut body, "role");
    if role.is_none() {
        body.problem("role", "is required");
    }
    let id = user_id(&mut body)?;
    let user = administer::set_role(&app, by, id, role.unwrap_or_default(), &peer).await?;
    Ok(Json(json!({ "user": views::user(&user) })).into_response())
}

pub(in crate::http) async fn ban_user(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::BanUser)?;
    let reason = body.optional_text("banReason", MAX_REASON);
    // As in Better Auth, 0 is no end.
    let expires_in = body.seconds("banExpiresIn").filter(|seconds| *seconds > 0);
    let id = user_id(&mut body)?;
    let user = administer::ban(
        &app,
        by,
        id,
        reason,
        expires_in.map(Duration::from_secs),
        &peer,
    )
    .await?;
    Ok(Json(json!({ "user": views::user(&user) })).into_response())
}

pub(in crate::http) async fn unban_user(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::BanUser)?;
    let id = user_id(&mut body)?;
    let user = administer::unban(&app, by, id, &peer).await?;
    Ok(Json(json!({ "user": views::user(&user) })).into_response())
}

pub(in crate::http) async fn remove_user(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::DeleteUser)?;
    let id = user_id(&mut body)?;
    administer::remove(&app, by, id, &peer).await?;
    Ok(Json(json!({ "success": true })).into_response())
}

pub(in crate::http) async fn set_user_password(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let by = Authority::Session(&who);
    by.may(&app, permission::Action::SetPassword)?;
    let new = body.text("newPassword", MAX_PASSWORD);
    if new.is_empty() {
        body.problem("newPassword", "newPassword cannot be empty");
    }
    let current = body
        .nullable_text("currentPassword", MAX_PASSWORD)
        .filter(|text| !text.is_empty());
    let id = user_id(&mut body)?;
    change_password::set_for_user(&app, &who, id, current.as_deref(), &new, &peer).await?;
    Ok(Json(json!({ "status": true })).into_response())
}

/// Answers for the caller; over HTTP a `userId` or a `role` in the body counts for nothing.
pub(in crate::http) async fn has_permission(
    _: State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut body: Fields,
) -> Result<Response, Error> {
    let asked = body.object("permissions");
    if asked.is_none() {
        body.problem("permissions", "is required");
    }
    body.finish()?;
    let holds = |(resource, actions): (&String, &Value)| {
        let mut actions = actions.as_array()?.iter();
        Some(actions.all(|action| {
            action
                .as_str()
                .is_some_and(|a| who.powers.holds(&format!("{resource}:{a}")))
        }))
    };
    let success = asked.iter().flatten().all(|pair| holds(pair) == Some(true));
    Ok(Json(json!({ "error": null, "success": success })).into_response())
}
