//! The forms of the account page: name, email address, password, devices and deletion.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::account::update_user;
use crate::flows::account::update_user::Profile;
use crate::flows::account::{change_email, change_password, delete_user, verify_email};
use crate::flows::permit::to;
use crate::flows::session::manage_sessions;
use crate::flows::session::manage_sessions::Here;
use crate::model::account::profile::DisplayName;

use crate::http::delivery::session_delivery::{Replaced, deliver_anew};
use crate::http::edge::cookies;
use crate::http::edge::cookies::Clear;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_EMAIL, MAX_ID, MAX_PASSWORD};
use crate::http::pages::form::{Form, TypedTwice};
use crate::http::pages::login::verify_email::DONE;
use crate::http::pages::visitor::{OwnForm, see_other};

use super::{account, done, has_password, respond, stale};

/// Where the link of a changed email address leads to.
const CHANGED: &str = "/auth/account?done=email";

/// Where a user continues whose account was deleted.
const DELETED: &str = "/auth/sign-in?done=deleted";

/// Returns where to continue once the old mailbox has agreed to a change: with a link of the account
/// page, to the text that names the link to the new mailbox; otherwise to the same URL.
pub(in crate::http) fn after_agreement(app: &App, url: String) -> String {
    let mount = &app.config.server.mount;
    // A link carries its target as `given` writes it.
    if url == mount.given(&mount.outside(CHANGED)) {
        mount
            .outside("/auth/account?done=email_agreed")
            .into_owned()
    } else {
        url
    }
}

pub(in crate::http::pages) async fn name(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.on_behalf::<to::UpdateUser>(&app)?;
    let name = fields.checked_text::<DisplayName>("name").or_default();
    let name = fields.finish(name)?;
    let mut form = Form::new("name").filled("name", name.trim());
    if is_stale {
        return stale(&visitor, form).await;
    }
    let name = form.name(&visitor.page, "name", &name);
    let name = match form.finish(name) {
        Ok(name) => name,
        Err(error) => return account(&visitor, form, Some(error)).await,
    };
    let profile = Profile {
        name: Some(name),
        image: None,
    };
    let outcome = update_user::update_user(&app, own, profile, &visitor.requester).await;
    respond(
        &visitor,
        form,
        outcome.map(|()| done("name")).map_err(Into::into),
    )
    .await
}

pub(in crate::http::pages) async fn verify(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor, is_stale, ..
    }: OwnForm,
) -> Result<Response, Error> {
    if is_stale {
        return stale(&visitor, Form::new("email")).await;
    }
    let user = &visitor.who.user;
    let outcome = verify_email::request(
        &app,
        &user.email,
        Some(user),
        Some(app.config.server.mount.outside(DONE).into_owned()),
        &visitor.requester,
    )
    .await;
    respond(
        &visitor,
        Form::new("email"),
        outcome.map(|()| done("mailed")).map_err(Into::into),
    )
    .await
}

pub(in crate::http::pages) async fn email(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_way_in::<to::SetEmail>(&app)?;
    let text = fields.optional_text("email", MAX_EMAIL).or_default();
    let text = fields.finish(text)?;
    let mut form = Form::new("email").filled("email", &text);
    if is_stale {
        return stale(&visitor, form).await;
    }
    // A verified mailbox agrees first; only then does the new one get a link.
    let sent = if visitor.who.user.email_verified {
        "email_asked"
    } else {
        "email_mailed"
    };
    let new = form.email(&visitor.page, "email", &text);
    let new = match form.finish(new) {
        Ok(new) => new,
        Err(error) => return account(&visitor, form, Some(error)).await,
    };
    let outcome = change_email::request(
        &app,
        own,
        new,
        Some(app.config.server.mount.outside(CHANGED).into_owned()),
        &visitor.requester,
    )
    .await;
    respond(
        &visitor,
        form,
        outcome.map(|()| done(sent)).map_err(Into::into),
    )
    .await
}

pub(in crate::http::pages) async fn password(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_way_in::<to::SetPassword>(&app)?;
    let mut form = Form::new("password");
    if is_stale {
        return stale(&visitor, form).await;
    }
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
        change_password::change_password(&app, own, &current, &new, true, &visitor.requester).await;
    let answer = outcome.map(|(user, grant)| {
        let mut headers = HeaderMap::new();
        if let Some(grant) = grant {
            deliver_anew(
                &app,
                &grant,
                &mut serde_json::json!({ "user": crate::http::delivery::views::user(&user) }),
                &mut headers,
            );
        }
        (headers, done("password")).into_response()
    });
    respond(&visitor, form, answer.map_err(Into::into)).await
}

pub(in crate::http::pages) async fn end_session(
    State(app): State<Arc<App>>,
    credentials: Credentials,
    sent: OwnForm,
) -> Result<Response, Error> {
    let OwnForm {
        visitor,
        mut fields,
        is_stale,
    } = sent;
    let own = visitor.who.on_behalf::<to::RevokeSessions>(&app)?;
    if is_stale {
        return stale(&visitor, Form::new("devices")).await;
    }
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
        &visitor.requester,
    )
    .await?
    {
        return Ok((
            carried.cleared(&app, Clear::Session),
            see_other("/auth/sign-in?done=signed_out"),
        )
            .into_response());
    }
    Ok(done("device"))
}

pub(in crate::http::pages) async fn end_others(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor, is_stale, ..
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.on_behalf::<to::RevokeSessions>(&app)?;
    if is_stale {
        return stale(&visitor, Form::new("devices")).await;
    }
    manage_sessions::revoke_other_own(&app, own, &visitor.requester).await?;
    Ok(done("devices"))
}

/// Deletes the account of a user who proves the password. A user without one gets a link by email.
pub(in crate::http::pages) async fn delete(
    State(app): State<Arc<App>>,
    OwnForm {
        visitor,
        mut fields,
        is_stale,
    }: OwnForm,
) -> Result<Response, Error> {
    let own = visitor.who.own_way_in::<to::DeleteUser>(&app)?;
    if is_stale {
        return stale(&visitor, Form::new("delete")).await;
    }
    let current = fields.optional_text("current", MAX_PASSWORD).or_default();
    let current = fields.finish(current)?;
    let requester = &visitor.requester;
    let outcome = if has_password(&visitor).await? {
        delete_user::with_password(&app, own, &current, requester).await
    } else if visitor.page.mails() {
        let callback = app.config.server.mount.outside(DELETED).into_owned();
        let asked = delete_user::request(&app, own, Some(callback), requester).await;
        let answer = asked.map(|()| done("delete_mailed")).map_err(Into::into);
        return respond(&visitor, Form::new("delete"), answer).await;
    } else {
        delete_user::with_fresh_session(&app, own, requester).await
    };
    let answer = outcome.map(|()| {
        let mut headers = HeaderMap::new();
        cookies::clear(&app, &mut headers, Clear::Session);
        (headers, see_other(DELETED)).into_response()
    });
    respond(&visitor, Form::new("delete"), answer.map_err(Into::into)).await
}
