//! `/auth/account`: one's own name, email address, password and devices. A form that was refused is
//! shown again with the reason; after a success the browser is redirected here, so that nothing is
//! sent twice.

pub(super) mod connect;
mod forms;
pub(super) mod step_up;
pub(super) mod two_step;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::flows::Error as Refused;
use crate::flows::account::two_factor;
use crate::flows::federation::links;
use crate::flows::session::manage_sessions;
use crate::model::account::user::User;
use crate::model::login::gate::Factors;
use crate::model::session::session::Session;

use super::device::named;
use super::form::Form;
use super::page::{Page, moment};
use super::typed;
use super::visitor::{SignedIn, see_other};
use crate::flows::account::typed::Typed;
use crate::http::edge::error::Error;
use crate::http::edge::query::Query;
pub(in crate::http) use forms::after_agreement;
pub(super) use forms::{delete, email, end_others, end_session, name, password, verify};

#[derive(Template)]
#[template(path = "pages/account.html")]
struct Account<'p> {
    p: &'p Page,
    user: &'p User,
    has_password: bool,
    /// Whether the page of security lists connected accounts, or providers.
    has_connections: bool,
    name: &'p Form,
    email: &'p Form,
    password: &'p Form,
    delete: &'p Form,
    others: &'p Form,
    devices: Vec<Device>,
}

/// A session as its user sees it.
pub(super) struct Device {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) address: String,
    pub(super) since: String,
    pub(super) current: bool,
}

impl Device {
    pub(super) fn of(page: &Page, session: &Session, own: bool) -> Self {
        Self {
            id: session.id.to_string(),
            kind: named(page, &session.user_agent),
            address: session.ip_address.clone(),
            since: moment(session.created_at),
            current: own,
        }
    }
}

/// Returns whether the user has a password; a user who signed up by email has none.
async fn has_password(visitor: &SignedIn) -> Result<bool, Error> {
    let state = two_factor::state(&visitor.page.app, &visitor.who).await?;
    Ok(state.factors.contains(Factors::PASSWORD))
}

/// Returns whether there is a provider, or an account that is connected.
async fn has_connections(visitor: &SignedIn) -> Result<bool, Error> {
    let app = &visitor.page.app;
    let has_any = !app.config.upstream.is_empty()
        || !links::of_user(app, visitor.who.user.id).await?.is_empty();
    Ok(has_any)
}

/// Shows the page with one of its forms as it was sent, and why it was refused.
async fn account(
    visitor: &SignedIn,
    sent: Form,
    refused: Option<Error>,
) -> Result<Response, Error> {
    let SignedIn { page, who, .. } = visitor;
    let sessions = manage_sessions::list_own(&page.app, who, manage_sessions::FIRST).await?;
    let own = sessions.iter().filter(|s| s.impersonated_by.is_none());
    let mut devices: Vec<_> = own
        .map(|s| Device::of(page, s, s.id == who.session.id))
        .collect();
    devices.sort_by_key(|device| !device.current);
    let fresh = [
        Form::new("name").filled("name", &who.user.name),
        Form::new("email"),
        Form::new("password"),
        Form::new("delete"),
        Form::new("devices"),
    ];
    let form = |at: usize| {
        if sent.id() == fresh[at].id() {
            &sent
        } else {
            &fresh[at]
        }
    };
    let shown = Account {
        p: page,
        user: &who.user,
        has_password: has_password(visitor).await?,
        has_connections: has_connections(visitor).await?,
        name: form(0),
        email: form(1),
        password: form(2),
        delete: form(3),
        others: form(4),
        devices,
    };
    let mut answer = match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    };
    if page.typed != Typed::default() {
        typed::forget(&page.app, answer.headers_mut());
    }
    Ok(answer)
}

/// Shows a form again that was shown to another session, with what was typed and a new token;
/// nothing was changed.
async fn stale(visitor: &SignedIn, mut form: Form) -> Result<Response, Error> {
    form.say(&visitor.page, "error.INVALID_FORM_TOKEN");
    account(visitor, form, Some(Error::InvalidFormToken)).await
}

/// Returns the form that was sent after its session had ended, if this user typed it.
fn kept(visitor: &SignedIn) -> Option<Form> {
    let typed = &visitor.page.typed;
    let is_own = typed.has_account_form() && typed.user == visitor.who.user.id.to_string();
    let mut form = if !is_own {
        return None;
    } else if typed.new_email.is_empty() {
        Form::new("name").filled("name", &typed.name)
    } else {
        Form::new("email").filled("email", &typed.new_email)
    };
    form.say(&visitor.page, "form.kept");
    Some(form)
}

/// Redirects to the page after a success; otherwise shows the form again.
async fn respond(
    visitor: &SignedIn,
    mut form: Form,
    outcome: Result<Response, Error>,
) -> Result<Response, Error> {
    match outcome {
        Ok(response) => Ok(response),
        // Its page says what to do about it.
        Err(Error::Flow(error @ (Refused::SessionNotFresh(_) | Refused::AdminNotFresh))) => {
            Err(error.into())
        }
        Err(error) => {
            let error = form.refused(&visitor.page, error)?;
            account(visitor, form, Some(error)).await
        }
    }
}

fn done(what: &str) -> Response {
    see_other(&format!("/auth/account?done={what}"))
}

/// Shows the page. A link of a mail may end here with an error, which is shown beside the email
/// address.
pub(super) async fn show(visitor: SignedIn, query: Query) -> Result<Response, Error> {
    let form = if query.has("error") {
        let mut form = Form::new("email");
        form.say(&visitor.page, "error.INVALID_TOKEN");
        form
    } else {
        kept(&visitor).unwrap_or_else(|| Form::new("email"))
    };
    account(&visitor, form, None).await
}
