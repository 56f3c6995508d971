//! `/auth/forgot-password`, and `/auth/reset-password`, where links of mails lead.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::reset_password;
use crate::flows::account::reset_password::Owner;
use crate::flows::limit::known_device;
use crate::flows::mail::require_mail::require_mail;
use crate::model::audit::event::Requester;

use super::mailbox;
use super::mailbox::sent;
use crate::http::delivery::device::know_anew;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_EMAIL, MAX_LINK_TOKEN};
use crate::http::edge::query::Query;
use crate::http::edge::redirects::query_of;
use crate::http::pages::failures::MessagePage;
use crate::http::pages::form::{Form, TypedTwice};
use crate::http::pages::page::Page;
use crate::http::pages::paths::with_next;
use crate::http::pages::typed;
use crate::http::pages::visitor::{MaybeSignedIn, see_other};

#[derive(Template)]
#[template(path = "pages/forgot_password.html")]
struct Forgot<'p> {
    p: &'p Page,
    f: &'p Form,
    next: &'p str,
    query: &'p str,
}

/// Shows the form for another link in place of one that has expired or was used.
fn another_link(page: &Page, next: &str) -> Response {
    let mut form = Form::new("forgot").filled("email", &page.typed.email);
    form.say(page, "reset.bad_link");
    let shown = Forgot {
        p: page,
        f: &form,
        next,
        query: &query_of(next),
    };
    Page::refuse(&shown, Refused::MailTokenInvalid.into(), "")
}

#[derive(Template)]
#[template(path = "pages/reset_password.html")]
struct Reset<'p> {
    p: &'p Page,
    f: &'p Form,
    owner: &'p Owner,
    token: &'p str,
    next: &'p str,
    /// The URL that the form is posted to.
    action: &'p str,
}

/// The URL of the form on the service's own page.
const OWN: &str = "/auth/reset-password";

/// The page on which the owner of a link chooses a password; its form is posted to `action`. With
/// `refused`, the form is shown again with the reason.
pub(in crate::http) struct Choosing<'p> {
    pub(in crate::http) page: &'p Page,
    pub(in crate::http) owner: &'p Owner,
    pub(in crate::http) token: &'p str,
    pub(in crate::http) next: &'p str,
    pub(in crate::http) action: &'p str,
}

impl Choosing<'_> {
    /// Shows the empty form.
    pub(in crate::http) fn ask(&self) -> Response {
        Page::answer(&self.with(&Form::new("reset")), StatusCode::OK, self.next)
    }

    /// Sets the password of the form and continues; the browser is a known device from then on. If
    /// the form is not valid, shows it again with its problems.
    pub(in crate::http) async fn answer(
        &self,
        typed: TypedTwice,
        credentials: &Credentials,
        requester: &Requester,
    ) -> Result<Response, Error> {
        let mut form = Form::new("reset");
        let new = form.typed_twice(self.page, typed);
        let new = match form.finish(new) {
            Ok(new) => new,
            Err(error) => return Ok(Page::refuse(&self.with(&form), error, self.next)),
        };
        match reset_password::reset(&self.page.app, self.token, &new, requester).await {
            Ok(user) => {
                let (app, mut response) = (&self.page.app, self.go_on());
                let email = user.email.as_str();
                typed::keep_email(app, &self.page.typed, email, response.headers_mut());
                know_anew(
                    app,
                    credentials,
                    &user,
                    known_device::token(app, &user, None),
                    response.headers_mut(),
                );
                Ok(response)
            }
            Err(Refused::MailTokenInvalid) if self.page.sends_links() => {
                Ok(another_link(self.page, self.next))
            }
            Err(error) => {
                let error = form.refused(self.page, error.into())?;
                Ok(Page::refuse(&self.with(&form), error, self.next))
            }
        }
    }

    fn with<'f>(&'f self, form: &'f Form) -> Reset<'f> {
        Reset {
            p: self.page,
            f: form,
            owner: self.owner,
            token: self.token,
            next: self.next,
            action: self.action,
        }
    }

    /// Returns where to continue with a new password: the sign-in page, and from there `next`. If
    /// pages are turned off, directly `next`, or nowhere.
    fn go_on(&self) -> Response {
        let Self { page, next, .. } = *self;
        let (title, done) = if self.owner.is_invited {
            ("reset.invited_title", "invited")
        } else {
            ("reset.title", "reset")
        };
        if page.app.config.pages.enabled {
            return see_other(&with_next(&format!("/auth/sign-in?done={done}"), next));
        }
        if !next.is_empty() {
            return see_other(next);
        }
        let text = format!("done.{done}");
        let told = MessagePage {
            p: page,
            title: page.t(title),
            text: page.t(&text),
            code: "",
            request_id: "",
            href: "",
            link: "to_start",
        };
        Page::answer(&told, StatusCode::OK, "")
    }
}

pub(in crate::http::pages) async fn show_forgot(
    State(app): State<Arc<App>>,
    page: Page,
    MaybeSignedIn(who): MaybeSignedIn,
    query: Query,
) -> Result<Response, Error> {
    require_mail(&app, Refused::ResetPasswordDisabled)?;
    let next = query.redirect_to(&app)?;
    if let Some("sent" | "sent_again") = query.no_longer_than("done", MAX_CODE) {
        return Ok(mailbox::RESET.show(&page, &next));
    }
    let own = who.as_ref().map(|who| who.user.email.as_str());
    let shown = Forgot {
        p: &page,
        f: &Form::new("forgot").filled("email", own.unwrap_or(&page.typed.email)),
        next: &next,
        query: &query_of(&next),
    };
    Ok(Page::answer(&shown, StatusCode::OK, ""))
}

pub(in crate::http::pages) async fn forgot(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    let text = body.optional_text("email", MAX_EMAIL).or_default();
    let is_again = body.has("again");
    let text = body.finish(text)?;
    let mut form = Form::new(if is_again { "again" } else { "forgot" }).filled("email", &text);
    let again = |form: &Form, error| {
        if is_again {
            return mailbox::RESET.refuse(&page, form, &next, error);
        }
        let shown = Forgot {
            p: &page,
            f: form,
            next: &next,
            query: &query_of(&next),
        };
        Page::refuse(&shown, error, "")
    };
    let email = form.email(&page, "email", &text);
    let email = match form.finish(email) {
        Ok(email) => email,
        Err(error) => return Ok(again(&form, error)),
    };
    if let Err(error) = reset_password::request(
        &app,
        &email,
        Some(with_next(
            &app.config.server.mount.outside("/auth/reset-password"),
            &next,
        )),
        &requester,
    )
    .await
    {
        let error = form.refused(&page, error.into())?;
        return Ok(again(&form, error));
    }
    Ok(mailbox::RESET.lead(&page, &text, sent(is_again), &next))
}

/// Returns whose link it is; for an invalid link, the page that sends another one.
async fn owner_of(page: &Page, token: &str, next: &str) -> Result<Result<Owner, Response>, Error> {
    match reset_password::check(&page.app, token).await {
        Ok(owner) => Ok(Ok(owner)),
        Err(Refused::MailTokenInvalid) if page.sends_links() => Ok(Err(another_link(page, next))),
        Err(error) => Err(error.into()),
    }
}

/// Shows the form; an invalid link is reported before a password is typed.
pub(in crate::http::pages) async fn show_reset(
    State(app): State<Arc<App>>,
    page: Page,
    query: Query,
) -> Result<Response, Error> {
    let token = query
        .no_longer_than("token", MAX_LINK_TOKEN)
        .unwrap_or_default();
    let next = query.redirect_to(&app)?;
    let owner = match owner_of(&page, token, &next).await? {
        Ok(owner) => owner,
        Err(another) => return Ok(another),
    };
    Ok(Choosing {
        page: &page,
        owner: &owner,
        token,
        next: &next,
        action: OWN,
    }
    .ask())
}

pub(in crate::http::pages) async fn reset(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    let token = body.optional_text("token", MAX_LINK_TOKEN).or_default();
    let typed = TypedTwice::read(&mut body);
    let (token, typed) = body.finish((token, typed))?;
    let owner = match owner_of(&page, &token, &next).await? {
        Ok(owner) => owner,
        Err(another) => return Ok(another),
    };
    Choosing {
        page: &page,
        owner: &owner,
        token: &token,
        next: &next,
        action: OWN,
    }
    .answer(typed, &credentials, &requester)
    .await
}
