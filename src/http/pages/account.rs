//! `/auth/account`: one's own name, address, password and devices. A form that was refused is shown
//! again with the reason; one that was done leads back here, so that nothing is sent twice.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::update_user;
use crate::flows::account::update_user::Profile;
use crate::flows::account::{change_email, change_password, delete_user, verify_email};
use crate::flows::permit::to;
use crate::flows::session::manage_sessions;
use crate::flows::session::manage_sessions::Here;
use crate::model::account::user::User;
use crate::model::kernel::user_agent::device;
use crate::model::session::session::Session;

use super::form::{Form, TypedTwice};
use super::page::{Page, moment};
use super::visitor::{SignedForm, SignedIn, see_other};
use crate::http::api::session_delivery::{Replaced, deliver_anew};
use crate::http::edge::cookies;
use crate::http::edge::cookies::Clear;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_EMAIL, MAX_ID, MAX_NAME, MAX_PASSWORD};
use crate::http::edge::query::Query;
use crate::http::pages::login::verify_email::DONE;

#[derive(Template)]
#[template(path = "pages/account.html")]
struct Account<'p> {
    p: &'p Page,
    user: &'p User,
    name: &'p Form,
    email: &'p Form,
    password: &'p Form,
    delete: &'p Form,
    devices: Vec<Device>,
}

/// A session as its owner knows it.
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
            kind: device(&session.user_agent)
                .unwrap_or_else(|| page.t("device.unknown").to_owned()),
            address: session.ip_address.clone(),
            since: moment(session.created_at),
            current: own,
        }
    }
}

/// The page with one of its forms as it was sent, and why it was refused.
async fn account(
    visitor: &SignedIn,
    sent: Form,
    refused: Option<Error>,
) -> Result<Response, Error> {
    let SignedIn { page, who, .. } = visitor;
    let sessions = manage_sessions::list_own(&page.app, who, manage_sessions::FIRST).await?;
    let own = sessions.iter().filter(|s| s.impersonated_by.is_none());
    let devices = own
        .map(|s| Device::of(page, s, s.id == who.session.id))
        .collect();
    let fresh = [
        Form::new("name").filled("name", &who.user.name),
        Form::new("email"),
        Form::new("password"),
        Form::new("delete"),
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
        name: form(0),
        email: form(1),
        password: form(2),
        delete: form(3),
        devices,
    };
    Ok(match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    })
}

/// Back to the page if it was done, the form again if not.
async fn settle(
    visitor: &SignedIn,
    mut form: Form,
    outcome: Result<Response, Error>,
) -> Result<Response, Error> {
    match outcome {
        Ok(response) => Ok(response),
        // Whose page says what to do about it.
        Err(Error::Flow(error @ Refused::SessionNotFresh)) => Err(error.into()),
        Err(error) => {
            let error = form.refused(&visitor.page, error)?;
            account(visitor, form, Some(error)).await
        }
    }
}

fn done(what: &str) -> Response {
    see_other(&format!("/auth/account?done={what}"))
}

/// A link of a mail may end here with an error; it is said where the address stands.
pub(super) async fn show(visitor: SignedIn, query: Query) -> Result<Response, Error> {
    let mut form = Form::new("email");
    if query.has("error") {
        form.say(&visitor.page, "error.INVALID_TOKEN");
    }
    account(&visitor, form, None).await
}

pub(super) async fn name(
    State(app): State<Arc<App>>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let own = visitor.who.on_behalf::<to::UpdateUser>(&app)?;
    let name = fields.optional_text("name", MAX_NAME).or_default();
    let name = fields.finish(name)?.trim().to_owned();
    let mut form = Form::new("name").filled("name", &name);
    let name = form.required(&visitor.page, "name", name);
    let name = match form.finish(name) {
        Ok(name) => name,
        Err(error) => return account(&visitor, form, Some(error)).await,
    };
    let profile = Profile {
        name: Some(name),
        image: None,
    };
    let outcome = update_user::update_user(&app, own, profile, &visitor.peer).await;
    settle(
        &visitor,
        form,
        outcome.map(|()| done("name")).map_err(Into::into),
    )
    .await
}

pub(super) async fn verify(
    State(app): State<Arc<App>>,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    let user = &visitor.who.user;
    let outcome = verify_email::request(
        &app,
        &user.email,
        Some(user),
        Some(DONE.into()),
        &visitor.peer,
    )
    .await;
    settle(
        &visitor,
        Form::new("email"),
        outcome.map(|()| done("mailed")).map_err(Into::into),
    )
    .await
}

pub(super) async fn email(
    State(app): State<Arc<App>>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::SetEmail>()?;
    let text = fields.optional_text("email", MAX_EMAIL).or_default();
    let text = fields.finish(text)?;
    let mut form = Form::new("email").filled("email", &text);
    let new = form.email(&visitor.page, "email", &text);
    let new = match form.finish(new) {
        Ok(new) => new,
        Err(error) => return account(&visitor, form, Some(error)).await,
    };
    let outcome = change_email::request(
        &app,
        own,
        new,
        Some("/auth/account?done=email".into()),
        &visitor.peer,
    )
    .await;
    settle(
        &visitor,
        form,
        outcome.map(|()| done("email_mailed")).map_err(Into::into),
    )
    .await
}

pub(super) async fn password(
    State(app): State<Arc<App>>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::SetPassword>()?;
    let mut form = Form::new("password");
    let current = fields.optional_text("current", MAX_PASSWORD).or_default();
    let typed = TypedTwice::read(&mut fields);
    let (current, typed) = fields.finish((current, typed))?;
    let new = form.typed_twice(&visitor.page, typed);
    let current = form.required(&visitor.page, "current", current);
    let (current, new) = match form.finish((current, new)) {
        Ok(opened) => opened,
        Err(error) => return account(&visitor, form, Some(error)).await,
    };
    let outcome =
        change_password::change_password(&app, own, &current, &new, true, &visitor.peer).await;
    let answer = outcome.map(|(user, grant)| {
        let mut headers = HeaderMap::new();
        if let Some(grant) = grant {
            deliver_anew(
                &app,
                &grant,
                &mut serde_json::json!({ "user": crate::http::api::views::user(&user) }),
                &mut headers,
            );
        }
        (headers, done("password")).into_response()
    });
    settle(&visitor, form, answer.map_err(Into::into)).await
}

pub(super) async fn end_session(
    State(app): State<Arc<App>>,
    credentials: Credentials,
    sent: SignedForm,
) -> Result<Response, Error> {
    let SignedForm {
        visitor,
        mut fields,
    } = sent;
    let own = visitor.who.on_behalf::<to::RevokeSessions>(&app)?;
    let session = fields.text("session", MAX_ID);
    let session = fields.finish(session)?;
    let carried = Replaced::of(&credentials);
    if manage_sessions::revoke_own(
        &app,
        Here {
            who: own,
            carried: carried.borrow(),
        },
        &session,
        &visitor.peer,
    )
    .await?
    {
        return Ok((
            carried.cleared(&app),
            see_other("/auth/sign-in?done=signed_out"),
        )
            .into_response());
    }
    Ok(done("session"))
}

pub(super) async fn end_others(
    State(app): State<Arc<App>>,
    SignedForm { visitor, .. }: SignedForm,
) -> Result<Response, Error> {
    let own = visitor.who.on_behalf::<to::RevokeSessions>(&app)?;
    manage_sessions::revoke_other_own(&app, own, &visitor.peer).await?;
    Ok(done("sessions"))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_account::<to::DeleteUser>()?;
    let current = fields.optional_text("current", MAX_PASSWORD).or_default();
    let current = fields.finish(current)?;
    let outcome = delete_user::with_password(&app, own, &current, &visitor.peer).await;
    let answer = outcome.map(|()| {
        let mut headers = HeaderMap::new();
        cookies::clear(&app, &mut headers, Clear::Session);
        (headers, see_other("/auth/sign-in?done=deleted")).into_response()
    });
    settle(&visitor, Form::new("delete"), answer.map_err(Into::into)).await
}
