//! `/admin/…`: the API of Better Auth's admin plugin (contract section 7), by the same flows as the
//! command line.

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
use crate::flows::account::{change_password, manage_users, reset_factors};
use crate::flows::permit::to;
use crate::model::account::email::Email;
use crate::model::account::profile::BanReason;
use crate::model::kernel::id::UserId;
use crate::model::kernel::period::Period;

use crate::http::delivery::views;
use crate::http::edge::body::Fields;
use crate::http::edge::credentials::{Acting, Authenticated};
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_EMAIL, MAX_LOOKED_UP_ID, MAX_PASSWORD, MAX_ROLES};
use crate::http::edge::query::Query;
use crate::http::edge::unchecked::Unchecked;

pub(in crate::http) async fn get_user(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut query: Query,
) -> Result<Response, Error> {
    let id = query.required("id", MAX_LOOKED_UP_ID);
    let id = query.finish(id)?;
    let permitted = who.require::<to::GetUser>(&app)?;
    let user = administer::get(
        &app,
        permitted,
        id.parse().map_err(|_| Refused::UserNotFound)?,
    )
    .await?;
    Ok(Json(views::user(&user)).into_response())
}

pub(in crate::http) async fn list_users(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut query: Query,
) -> Result<Response, Error> {
    let permitted = who.require::<to::ListUsers>(&app)?;
    let search = query.search()?;
    let (limit, offset) = (query.number("limit"), query.number("offset"));
    let (users, total) = administer::search(&app, permitted, search).await?;
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
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::CreateUser>(&app)?;
    let email = body.text("email", MAX_EMAIL);
    let name = body.needed_text("name");
    let password = body.optional_text("password", MAX_PASSWORD);
    let role = body.comma_joined("role", MAX_ROLES).or("user".into());
    let data = body.within("data", |data| {
        let image = data.checked_text("image");
        let email_verified = data.optional_bool("emailVerified").or(false);
        (image, email_verified, data.object("metadata").or_default())
    });
    let (email, name, password, role, (image, email_verified, metadata)) =
        body.finish((email, name, password, role, data))?;
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
    let user = manage_users::create(&app, permitted, new, &requester).await?;
    Ok(Json(json!({ "user": views::user(&user) })).into_response())
}

pub(in crate::http) async fn update_user(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::UpdateUser>(&app)?;
    let changes = body.required_within("data", changes);
    let id = body.id("userId");
    let (changes, id) = body.finish((changes, id))?;
    let id: UserId = id.ok_or(Refused::UserNotFound)?;
    let changes = changes?;
    let user = administer::update(&app, permitted, id, changes, &requester).await?;
    Ok(Json(views::user(&user)).into_response())
}

/// Reads the changes of `data`; other members of it are ignored, as Better Auth does. The inner
/// result refuses fields that no path changes.
fn changes(data: &mut Fields) -> Unchecked<Result<Changes, Refused>> {
    let refused = if data.has("password") {
        Some(Refused::PasswordViaUpdate)
    } else if data.has("id") {
        Some(Refused::UserIdCannotBeUpdated)
    } else {
        None
    };
    let email = data.optional_text("email", MAX_EMAIL);
    let name = data.checked_text("name");
    let email_verified = data.optional_bool("emailVerified");
    let image = data.text_or_null("image");
    let role = data.comma_joined("role", MAX_ROLES);
    let metadata = data.object("metadata");
    let profile = email.zip(name).zip(email_verified);
    let rest = image.zip(role).zip(metadata).zip(ban(data));
    profile.zip(rest).map(|(profile, rest)| {
        if let Some(refused) = refused {
            return Err(refused);
        }
        let ((email, name), email_verified) = profile;
        let (((image, role), metadata), ban) = rest;
        let email = email.map(|text| text.parse().map_err(|_| Refused::InvalidEmail));
        Ok(Changes {
            name,
            email: email.transpose()?,
            email_verified,
            image,
            role,
            ban,
            metadata,
        })
    })
}

fn ban(data: &mut Fields) -> Unchecked<Option<Ban>> {
    let banned = data.optional_bool("banned");
    let reason = data.text_or_null::<BanReason>("banReason").or_default();
    let ends_at = data.time("banExpires");
    banned
        .zip(reason.zip(ends_at))
        .map(|(banned, (reason, ends_at))| match banned {
            None => None,
            Some(true) => Some(Ban::Set {
                reason: reason.into(),
                ends_at,
            }),
            Some(false) => Some(Ban::Lifted),
        })
}

pub(in crate::http) async fn set_role(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::SetRole>(&app)?;
    let role = body.comma_joined("role", MAX_ROLES);
    let role = body.required("role", role);
    let id = body.id("userId");
    let (role, id) = body.finish((role, id))?;
    let id: UserId = id.ok_or(Refused::UserNotFound)?;
    let user = administer::set_role(&app, permitted, id, role, &requester).await?;
    Ok(Json(json!({ "user": views::user(&user) })).into_response())
}

pub(in crate::http) async fn ban_user(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::BanUser>(&app)?;
    let reason = body.checked_text("banReason");
    // As in Better Auth, 0 means a ban without end.
    let expires_in = body
        .seconds("banExpiresIn")
        .map(|seconds| Period::new(Duration::from_secs(seconds?)).ok());
    let id = body.id("userId");
    let (reason, expires_in, id) = body.finish((reason, expires_in, id))?;
    let id: UserId = id.ok_or(Refused::UserNotFound)?;
    let user = administer::ban(&app, permitted, id, reason, expires_in, &requester).await?;
    Ok(Json(json!({ "user": views::user(&user) })).into_response())
}

pub(in crate::http) async fn unban_user(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::BanUser>(&app)?;
    let id = body.id("userId");
    let id: UserId = body.finish(id)?.ok_or(Refused::UserNotFound)?;
    let user = administer::unban(&app, permitted, id, &requester).await?;
    Ok(Json(json!({ "user": views::user(&user) })).into_response())
}

pub(in crate::http) async fn remove_user(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::DeleteUser>(&app)?;
    let id = body.id("userId");
    let id: UserId = body.finish(id)?.ok_or(Refused::UserNotFound)?;
    administer::remove(&app, permitted, id, &requester).await?;
    Ok(Json(json!({ "success": true })).into_response())
}

pub(in crate::http) async fn set_user_password(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::SetPassword>(&app)?;
    let empty = "newPassword cannot be empty";
    let new = body.filled_text("newPassword", MAX_PASSWORD, empty);
    let current = body
        .nullable_text("currentPassword", MAX_PASSWORD)
        .filter(|text| !text.is_empty());
    let id = body.id("userId");
    let (new, current, id) = body.finish((new, current, id))?;
    let id: UserId = id.ok_or(Refused::UserNotFound)?;
    change_password::set_for_user(&app, permitted, id, current.as_deref(), &new, &requester)
        .await?;
    Ok(Json(json!({ "status": true })).into_response())
}

pub(in crate::http) async fn reset_factors(
    State(app): State<Arc<App>>,
    Acting { who, requester }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    let permitted = who.require::<to::ResetFactors>(&app)?;
    let id = body.id("userId");
    let totp = body.optional_bool("totp").or_default();
    let passkeys = body.optional_bool("passkeys").or_default();
    let (id, totp, passkeys) = body.finish((id, totp, passkeys))?;
    let id: UserId = id.ok_or(Refused::UserNotFound)?;
    let scope = reset_factors::Scope { totp, passkeys }.or_all();
    reset_factors::reset(&app, permitted, id, scope, &requester).await?;
    Ok(Json(json!({ "status": true })).into_response())
}

/// Answers for the caller; over HTTP a `userId` or a `role` in the body is ignored.
pub(in crate::http) async fn has_permission(
    _: State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut body: Fields,
) -> Result<Response, Error> {
    let asked = body.object("permissions");
    let asked = body.required("permissions", asked);
    let asked = body.finish(asked)?;
    let holds = |(resource, actions): (&String, &Value)| {
        let mut actions = actions.as_array()?.iter();
        Some(actions.all(|action| {
            action
                .as_str()
                .is_some_and(|a| who.powers.holds(&format!("{resource}:{a}")))
        }))
    };
    let success = asked.iter().all(|pair| holds(pair) == Some(true));
    Ok(Json(json!({ "error": null, "success": success })).into_response())
}
