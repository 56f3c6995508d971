//! The forms of a user's page that change the account: roles, ban, disabling, links, metadata,
//! deletion.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::administer_users as administer;
use crate::flows::account::administer_users::Changes;
use crate::flows::account::manage_users;
use crate::flows::account::send_link;
use crate::flows::account::send_link::Link;
use crate::flows::permit::to;
use crate::model::account::profile::BanReason;
use crate::model::kernel::period::{Moment, Period};

use super::user::{explain, known_roles, parsed, respond};
use crate::http::MAX_BODY;
use crate::http::edge::error::{Error, Source};
use crate::http::edge::limits::{MAX_EMAIL, MAX_WORD};
use crate::http::pages::form::Form;
use crate::http::pages::visitor::{SignedForm, SignedIn, see_other};

/// Makes the error for a field whose problem the form says in words.
fn wrong(field: &str) -> Error {
    let problem = (field.to_owned(), vec!["is not valid".to_owned()]);
    Error::Validation(Source::Form, BTreeMap::from([problem]))
}

/// Returns a form that says a text of the catalogue.
fn saying(visitor: &SignedIn, key: &str) -> Form {
    let mut form = Form::new("user");
    form.say(&visitor.page, key);
    form
}

/// Replaces the roles by those that are checked: the field of the role `editor` is `role-editor`.
pub(in crate::http::pages) async fn set_role(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm { visitor, fields }: SignedForm,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::SetRole>(&app)?;
    let id = parsed(&id)?;
    let roles: Vec<String> = known_roles(&app)
        .into_iter()
        .filter(|role| fields.has(&format!("role-{role}")))
        .collect();
    let roles = roles.join(",");
    let outcome = administer::set_role(&app, permitted, id, roles, &visitor.requester).await;
    if let Err(Refused::NonExistentRole) = outcome {
        let form = saying(&visitor, "user.no_role");
        return explain(&visitor, id, form, Refused::NonExistentRole.into()).await;
    }
    respond(&visitor, id, "role", outcome).await
}

/// Bans until the beginning of a day in UTC, or without an end.
pub(in crate::http::pages) async fn ban(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::BanUser>(&app)?;
    let reason = fields
        .checked_text::<BanReason>("reason")
        .filter(|reason| !reason.is_empty());
    let until = fields.optional_text("until", MAX_WORD).or_default();
    let (reason, until) = fields.finish((reason, until))?;
    let id = parsed(&id)?;
    let time = if until.is_empty() {
        None
    } else {
        let now = app.now();
        let end = until.parse::<Moment>().ok().map(|moment| moment.at(now));
        let Some(time) = end.and_then(|end| Period::new(end.since(now)).ok()) else {
            let said = saying(&visitor, "user.until_bad");
            let said = said.filled("reason", reason.as_deref().unwrap_or_default());
            return explain(&visitor, id, said, wrong("until")).await;
        };
        Some(time)
    };
    let outcome = administer::ban(&app, permitted, id, reason, time, &visitor.requester).await;
    respond(&visitor, id, "ban", outcome).await
}

pub(in crate::http::pages) async fn unban(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    let id = parsed(&id)?;
    let permitted = visitor.who.require::<to::BanUser>(&app)?;
    let outcome = administer::unban(&app, permitted, id, &visitor.requester).await;
    respond(&visitor, id, "unban", outcome).await
}

async fn set_disabled(
    app: &App,
    id: &str,
    visitor: &SignedIn,
    disabled: bool,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::DisableUser>(app)?;
    let id = parsed(id)?;
    let outcome =
        manage_users::set_disabled(app, permitted, id, disabled, &visitor.requester).await;
    let what = if disabled { "disable" } else { "enable" };
    respond(visitor, id, what, outcome).await
}

pub(in crate::http::pages) async fn disable(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    set_disabled(&app, &id, &visitor, true).await
}

pub(in crate::http::pages) async fn enable(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    set_disabled(&app, &id, &visitor, false).await
}

async fn mail(app: &App, id: &str, visitor: &SignedIn, link: Link) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::UpdateUser>(app)?;
    let id = parsed(id)?;
    let outcome = send_link::send(app, permitted, id, link, &visitor.requester).await;
    respond(visitor, id, "link", outcome).await
}

pub(in crate::http::pages) async fn send_reset(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    mail(&app, &id, &visitor, Link::ResetPassword).await
}

pub(in crate::http::pages) async fn send_verification(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    mail(&app, &id, &visitor, Link::VerifyEmail).await
}

/// Replaces the metadata by the JSON object that was typed.
pub(in crate::http::pages) async fn set_metadata(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::UpdateUser>(&app)?;
    let typed = fields.optional_text("metadata", MAX_BODY).or_default();
    let typed = fields.finish(typed)?;
    let id = parsed(&id)?;
    let Ok(metadata) = serde_json::from_str::<Map<String, Value>>(&typed) else {
        let form = saying(&visitor, "user.metadata_bad").filled("metadata", &typed);
        return explain(&visitor, id, form, wrong("metadata")).await;
    };
    let changes = Changes {
        metadata: Some(metadata),
        ..Changes::default()
    };
    let outcome = administer::update(&app, permitted, id, changes, &visitor.requester).await;
    respond(&visitor, id, "metadata", outcome).await
}

/// Deletes the user if the email address was typed as a confirmation.
pub(in crate::http::pages) async fn delete(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::DeleteUser>(&app)?;
    let typed = fields.optional_text("email", MAX_EMAIL).or_default();
    let typed = fields.finish(typed)?;
    let id = parsed(&id)?;
    let outcome =
        administer::remove_confirmed(&app, permitted, id, &typed, &visitor.requester).await;
    match outcome {
        Ok(()) => Ok(see_other("/auth/admin/users?done=removed")),
        Err(Refused::EmailMismatch) => {
            let form = saying(&visitor, "user.delete_mismatch");
            explain(&visitor, id, form, Refused::EmailMismatch.into()).await
        }
        Err(error) => respond::<()>(&visitor, id, "", Err(error)).await,
    }
}
