//! `/auth/admin/users/{id}`: one user in the console: who it is, what happened, what may be done.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::administer_users as administer;
use crate::flows::audit::read_audit;
use crate::flows::audit::read_audit::Filter;
use crate::flows::permit::to;
use crate::flows::session::{impersonate, manage_sessions, session_uses};
use crate::model::account::permission;
use crate::model::account::user::{ADMIN, User};
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Session;

use super::pieces::{segment, user_path};
use super::timeline;
use super::timeline::Row;
use super::users::state_of;
use crate::http::edge::error::Error;
use crate::http::pages::device::named;
use crate::http::pages::form::Form;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::visitor::{SignedIn, see_other};

/// The number of events on the page; the audit trail has the others.
const EVENTS: i64 = 10;

#[derive(Template)]
#[template(path = "pages/user.html")]
struct Shown<'p> {
    p: &'p Page,
    f: &'p Form,
    u: Facts,
    /// Whether the visitor could act as this user now.
    can_act: bool,
    roles: Vec<Role>,
    /// Roles that the user has and that the settings do not define any more.
    lost_roles: String,
    metadata: String,
    sessions: Vec<Listed>,
    /// How many sessions are live, and how many of them are listed if not all are.
    live: String,
    end_all_sure: String,
    events: Vec<Row>,
    trail: String,
    tomorrow: String,
}

struct Facts {
    path: String,
    id: String,
    email: String,
    name: String,
    role: String,
    state: &'static str,
    is_banned: bool,
    /// Whether this is the account of the visitor, or of the admin who acts in the session.
    is_own: bool,
    reason: String,
    banned_until: String,
    verified: bool,
    since: String,
    last_sign_in: String,
}

struct Role {
    name: String,
    held: bool,
    /// The permissions that it gives, with commas between them.
    gives: String,
}

struct Listed {
    id: String,
    device: String,
    address: String,
    since: String,
    used: String,
    current: bool,
    /// The admin who acts as the user in this session; empty for one of the user's own.
    acted_by: String,
}

/// Reads the id in a path.
///
/// # Errors
/// [`Refused::UserNotFound`] for a text that cannot be an id.
pub(super) fn parsed(id: &str) -> Result<UserId, Error> {
    id.parse().map_err(|_| Refused::UserNotFound.into())
}

/// Returns the roles that the program and the settings define.
pub(super) fn known_roles(app: &App) -> Vec<String> {
    let mut roles = vec!["user".to_owned(), ADMIN.to_owned()];
    let named = app.config.roles.iter().map(|(role, _)| role.clone());
    roles.extend(named.filter(|role| !matches!(role.as_str(), "user" | ADMIN)));
    roles
}

fn roles(app: &App, user: &User) -> (Vec<Role>, String) {
    let (held, known) = (user.roles(), known_roles(app));
    let lost = held.iter().filter(|role| !known.iter().any(|k| k == *role));
    let lost = lost.copied().collect::<Vec<_>>().join(", ");
    let role = |name: String| {
        let gives = permission::granted(&[&name], &app.config.roles);
        Role {
            held: held.contains(&name.as_str()),
            gives: gives.into_iter().collect::<Vec<_>>().join(", "),
            name,
        }
    };
    (known.into_iter().map(role).collect(), lost)
}

fn facts(visitor: &SignedIn, user: &User, last_sign_in: Option<Timestamp>) -> Facts {
    let SignedIn { page, who, .. } = visitor;
    let now = page.app.now();
    let at = |time: Option<Timestamp>| time.map(moment).unwrap_or_default();
    Facts {
        path: user_path(&user.id.to_string()),
        id: user.id.to_string(),
        email: user.email.to_string(),
        name: user.name.clone(),
        role: user.roles().join(", "),
        state: state_of(user, now),
        is_banned: user.is_banned(now),
        is_own: user.id == who.user.id || who.session.impersonated_by == Some(user.id),
        reason: user
            .ban_reason
            .clone()
            .filter(|_| user.is_banned(now))
            .unwrap_or_default(),
        banned_until: at(user.ban_expires_at.filter(|_| user.is_banned(now))),
        verified: user.email_verified,
        since: moment(user.created_at),
        last_sign_in: at(last_sign_in),
    }
}

/// Returns metadata as people edit it.
fn pretty(metadata: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(metadata).unwrap_or_default()
}

/// What the page shows of a user's sessions.
#[derive(Default)]
struct Sessions {
    listed: Vec<Listed>,
    live: u64,
    last_sign_in: Option<Timestamp>,
}

/// Reads the sessions, for visitors who may list them.
async fn sessions(visitor: &SignedIn, user: UserId) -> Result<Sessions, Error> {
    let SignedIn { page, who, .. } = visitor;
    let app = &page.app;
    let Ok(permitted) = who.require::<to::ListSessions>(app) else {
        return Ok(Sessions::default());
    };
    let found = manage_sessions::list_of_user(app, permitted, user, manage_sessions::FIRST).await?;
    let last = session_uses::last_uses(app, permitted, &found).await?;
    let listed = |(session, used): (&Session, Timestamp)| Listed {
        id: session.id.to_string(),
        device: named(page, &session.user_agent),
        address: session.ip_address.clone(),
        since: moment(session.created_at),
        used: moment(used),
        current: session.id == who.session.id,
        acted_by: session
            .impersonated_by
            .map_or_else(String::new, |admin| admin.to_string()),
    };
    Ok(Sessions {
        listed: found.iter().zip(last).map(listed).collect(),
        live: manage_sessions::count_of_user(app, permitted, user).await?,
        last_sign_in: manage_sessions::last_sign_in(app, permitted, user).await?,
    })
}

/// Reads the newest events about the user, for visitors who may read the audit trail.
async fn events(visitor: &SignedIn, user: UserId) -> Result<Vec<Row>, Error> {
    let app = &visitor.page.app;
    let Ok(permitted) = visitor.who.require::<to::ReadAudit>(app) else {
        return Ok(Vec::new());
    };
    let filter = Filter {
        subject: Some(user.to_string()),
        ..Filter::default()
    };
    let events = read_audit::list(app, permitted, filter, EVENTS).await?;
    timeline::rows(app, visitor, &events).await
}

fn counted(page: &Page, live: u64, listed: usize) -> String {
    let all = page.words.counted("user.live", live);
    match u64::try_from(listed) {
        Ok(listed) if listed < live => {
            format!("{all} {}", page.words.counted("user.newest", listed))
        }
        _ => all,
    }
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
    let Sessions {
        listed,
        live,
        last_sign_in,
    } = sessions(visitor, id).await?;
    let (roles, lost_roles) = roles(app, &user);
    let tomorrow = (app.now() + std::time::Duration::from_secs(86_400)).to_utc();
    let shown = Shown {
        p: page,
        f: &form,
        u: facts(visitor, &user, last_sign_in),
        can_act: impersonate::is_possible(app, who, &user),
        roles,
        lost_roles,
        metadata: Some(form.value("metadata").to_owned())
            .filter(|typed| !typed.is_empty())
            .unwrap_or_else(|| pretty(&user.metadata)),
        live: counted(page, live, listed.len()),
        end_all_sure: page.words.counted("user.end_all_sure", live),
        sessions: listed,
        events: events(visitor, id).await?,
        trail: format!("/auth/admin/audit?user={}", segment(&id.to_string())),
        tomorrow: tomorrow.map_or_else(String::new, |day| day.format("%Y-%m-%d").to_string()),
    };
    Ok(match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    })
}

/// Redirects to the user after a success; otherwise shows the reason above the page.
pub(super) async fn respond<T>(
    visitor: &SignedIn,
    id: UserId,
    what: &str,
    outcome: Result<T, Refused>,
) -> Result<Response, Error> {
    let path = user_path(&id.to_string());
    match outcome {
        Ok(_) => Ok(see_other(&format!("{path}?done={what}"))),
        Err(error) => explain(visitor, id, Form::new("user"), error.into()).await,
    }
}

/// Shows the page of the user with a sentence about the refusal, if the visitor may see the page.
pub(super) async fn explain(
    visitor: &SignedIn,
    id: UserId,
    mut form: Form,
    error: Error,
) -> Result<Response, Error> {
    let page = &visitor.page;
    let error = match error {
        // Errors that need another page than this one.
        Error::Flow(
            Refused::SessionNotFresh(_) | Refused::AdminNotFresh | Refused::UserNotFound,
        ) => return Err(error),
        Error::Flow(Refused::NotAllowed(_)) => {
            form.say(page, "user.not_allowed");
            error
        }
        error if !form.said().is_empty() => error,
        error => form.refused(page, error)?,
    };
    if visitor.who.require::<to::GetUser>(&page.app).is_err() {
        return Err(error);
    }
    page_of(visitor, id, form, Some(error)).await
}

pub(in crate::http::pages) async fn show(
    visitor: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    page_of(&visitor, parsed(&id)?, Form::new("user"), None).await
}
