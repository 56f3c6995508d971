//! `/auth/admin/users/{id}`: one user in the console: roles, ban, sessions.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::administer_users as administer;
use crate::flows::permit::to;
use crate::flows::session::manage_sessions;
use crate::model::account::profile::BanReason;
use crate::model::account::user::User;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::period::Period;

use super::users::state_of;
use crate::http::delivery::signed_out::left;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_ID, MAX_ROLES, MAX_WORD};
use crate::http::pages::account::Device;
use crate::http::pages::form::Form;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::visitor::{SignedForm, SignedIn, see_other};

const DAY: u64 = 86_400;

#[derive(Template)]
#[template(path = "pages/user.html")]
struct Shown<'p> {
    p: &'p Page,
    f: &'p Form,
    u: Facts,
    roles: Vec<String>,
    devices: Vec<Device>,
}

struct Facts {
    id: String,
    email: String,
    name: String,
    role: String,
    state: &'static str,
    banned: bool,
    reason: String,
    verified: bool,
    since: String,
}

fn parsed(id: &str) -> Result<UserId, Error> {
    id.parse().map_err(|_| Refused::UserNotFound.into())
}

async fn page_of(
    visitor: &SignedIn,
    id: UserId,
    form: Form,
    refused: Option<Error>,
) -> Result<Response, Error> {
    let SignedIn { page, who, .. } = visitor;
    let app = &page.app;
    let permitted = who.require::<to::GetUser>(app)?;
    let user: User = administer::get(app, permitted, id).await?;
    let sessions = match who.require::<to::ListSessions>(app) {
        Ok(permitted) => {
            manage_sessions::list_of_user(app, permitted, id, manage_sessions::FIRST).await?
        }
        Err(_) => Vec::new(),
    };
    let now = app.now();
    let facts = Facts {
        id: user.id.to_string(),
        email: user.email.to_string(),
        name: user.name.clone(),
        role: user.role.clone(),
        state: state_of(&user, now),
        banned: user.is_banned(now),
        reason: user.ban_reason.clone().unwrap_or_default(),
        verified: user.email_verified,
        since: moment(user.created_at),
    };
    let roles = ["user".to_owned(), "admin".to_owned()]
        .into_iter()
        .chain(app.config.roles.iter().map(|(role, _)| role.clone()))
        .collect();
    let devices = sessions
        .iter()
        .map(|s| Device::of(page, s, s.id == who.session.id))
        .collect();
    let shown = Shown {
        p: page,
        f: &form,
        u: facts,
        roles,
        devices,
    };
    Ok(match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    })
}

/// Redirects to the user after a success; otherwise shows the reason above the page.
async fn respond<T>(
    visitor: &SignedIn,
    id: UserId,
    what: &str,
    outcome: Result<T, Refused>,
) -> Result<Response, Error> {
    match outcome {
        Ok(_) => Ok(see_other(&format!("/auth/admin/users/{id}?done={what}"))),
        // Errors that need another page than this one.
        Err(
            error @ (Refused::NotAllowed(_) | Refused::SessionNotFresh | Refused::UserNotFound),
        ) => Err(error.into()),
        Err(error) => {
            let mut form = Form::new("user");
            let error = form.refused(&visitor.page, error.into())?;
            page_of(visitor, id, form, Some(error)).await
        }
    }
}

pub(in crate::http::pages) async fn show(
    visitor: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    page_of(&visitor, parsed(&id)?, Form::new("user"), None).await
}

pub(in crate::http::pages) async fn set_role(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::SetRole>(&app)?;
    let role = fields.text("role", MAX_ROLES);
    let role = fields.finish(role)?;
    let id = parsed(&id)?;
    let roles: Vec<&str> = role
        .split(',')
        .map(str::trim)
        .filter(|role| !role.is_empty())
        .collect();
    let outcome =
        administer::set_role(&app, permitted, id, roles.join(","), &visitor.requester).await;
    respond(&visitor, id, "role", outcome).await
}

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
    let days = fields.optional_text("days", MAX_WORD).or_default();
    let time = fields.check("days", days, "expected a number of days", |days| {
        if days.is_empty() {
            return Some(None);
        }
        let seconds = days.parse::<u64>().ok()?.checked_mul(DAY)?;
        Period::new(Duration::from_secs(seconds)).ok().map(Some)
    });
    let (reason, time) = fields.finish((reason, time))?;
    let id = parsed(&id)?;
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

pub(in crate::http::pages) async fn end_session(
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
        return Ok((
            left(&app, true, &credentials, &visitor.requester).await?,
            see_other("/auth/sign-in?done=signed_out"),
        )
            .into_response());
    }
    respond(&visitor, id, "session", outcome).await
}

pub(in crate::http::pages) async fn end_sessions(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    credentials: Credentials,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    let id = parsed(&id)?;
    let permitted = visitor.who.require::<to::RevokeSessions>(&app)?;
    let outcome = manage_sessions::revoke_of_user(&app, permitted, id, &visitor.requester).await;
    if outcome.is_ok() && id == visitor.who.user.id {
        return Ok((
            left(&app, true, &credentials, &visitor.requester).await?,
            see_other("/auth/sign-in?done=signed_out"),
        )
            .into_response());
    }
    respond(&visitor, id, "sessions", outcome).await
}
