//! `/auth/forgot-password` and `/auth/reset-password`, which the links of mails lead to.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::reset_password;
use crate::flows::login::known_device;
use crate::model::audit::event::Peer;

use super::sign_in::{checked_email, next_of, with_next};
use crate::http::api::accounts::{MAX_NAME, MAX_PASSWORD, know_anew};
use crate::http::edge::body::{Fields, Submitted};
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::query::Query;
use crate::http::pages::failures::MessagePage;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::visitor::see_other;

const MAX_TOKEN: usize = 256;

#[derive(Template)]
#[template(path = "pages/forgot_password.html")]
struct Forgot<'p> {
    p: &'p Page,
    f: &'p Form,
    next: &'p str,
}

#[derive(Template)]
#[template(path = "pages/reset_password.html")]
struct Reset<'p> {
    p: &'p Page,
    f: &'p Form,
    token: &'p str,
    next: &'p str,
    /// Where the form goes.
    action: &'p str,
}

/// Where the form of the pages goes.
const OWN: &str = "/auth/reset-password";

/// The page where the holder of a link chooses a password; its form goes to `action`. With
/// `refused`, why the form comes again.
pub(in crate::http) struct Choosing<'p> {
    pub(in crate::http) page: &'p Page,
    pub(in crate::http) token: &'p str,
    pub(in crate::http) next: &'p str,
    pub(in crate::http) action: &'p str,
}

impl Choosing<'_> {
    /// The form as it is shown first.
    pub(in crate::http) fn ask(&self) -> Response {
        Page::answer(&self.with(&Form::new("reset")), StatusCode::OK, self.next)
    }

    /// Sets the password that the form says, and goes on; the browser is a known device from then
    /// on. Else the form again, with what is wrong.
    pub(in crate::http) async fn answer(
        &self,
        mut body: Fields,
        credentials: &Credentials,
        peer: &Peer,
    ) -> Result<Response, Error> {
        let mut form = Form::new("reset");
        let new = chosen(self.page, &mut form, &mut body, MAX_PASSWORD);
        body.finish()?;
        if !form.is_good() {
            return Ok(Page::refuse(&self.with(&form), form.problems(), self.next));
        }
        match reset_password::reset(&self.page.app, self.token, &new, peer).await {
            Ok(user) => {
                let (app, mut response) = (&self.page.app, after_choosing(self.page, self.next));
                know_anew(
                    app,
                    credentials,
                    &user,
                    known_device::token(app, &user, None),
                    response.headers_mut(),
                );
                Ok(response)
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
            token: self.token,
            next: self.next,
            action: self.action,
        }
    }
}

/// Where one goes on to with a new password: the sign-in page, from there to `next`. Without pages
/// straight there, or nowhere.
fn after_choosing(page: &Page, next: &str) -> Response {
    if page.app.config.pages.enabled {
        return see_other(&with_next("/auth/sign-in?done=reset", next));
    }
    if !next.is_empty() {
        return see_other(next);
    }
    let told = MessagePage {
        p: page,
        title: page.t("reset.title"),
        text: page.t("done.reset"),
        code: "",
        request_id: "",
        href: "",
        link: "to_start",
    };
    Page::answer(&told, StatusCode::OK, "")
}

/// A new password that was typed twice.
pub(in crate::http::pages) fn chosen(
    page: &Page,
    form: &mut Form,
    body: &mut Fields,
    max: usize,
) -> String {
    let password = body.optional_text("password", max).unwrap_or_default();
    let again = body.optional_text("again", max).unwrap_or_default();
    if password.is_empty() {
        form.note(page, "password", "form.missing");
    } else if password != again {
        form.note(page, "again", "form.differs");
    }
    password
}

pub(in crate::http::pages) async fn show_forgot(
    State(app): State<Arc<App>>,
    page: Page,
    query: Query,
) -> Result<Response, Error> {
    if !app.config.mail.sends() {
        return Err(Refused::ResetPasswordDisabled.into());
    }
    let next = next_of(&app, query.one("redirect_to"))?;
    Ok(Page::answer(
        &Forgot {
            p: &page,
            f: &Form::new("forgot"),
            next: &next,
        },
        StatusCode::OK,
        "",
    ))
}

pub(in crate::http::pages) async fn forgot(
    State(app): State<Arc<App>>,
    page: Page,
    Client(peer): Client,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = next_of(&app, body.peek("redirect_to"))?;
    let text = body
        .optional_text("email", MAX_NAME * 4)
        .unwrap_or_default();
    body.finish()?;
    let mut form = Form::new("forgot").filled("email", &text);
    let again = |form: &Form, error| {
        Page::refuse(
            &Forgot {
                p: &page,
                f: form,
                next: &next,
            },
            error,
            "",
        )
    };
    let Some(email) = checked_email(&page, &mut form, &text) else {
        return Ok(again(&form, form.problems()));
    };
    if let Err(error) = reset_password::request(
        &app,
        &email,
        Some(with_next(
            &app.config.server.mount.outside("/auth/reset-password"),
            &next,
        )),
        &peer,
    )
    .await
    {
        let error = form.refused(&page, error.into())?;
        return Ok(again(&form, error));
    }
    let told = MessagePage {
        p: &page,
        title: page.t("forgot.sent"),
        text: page.t("forgot.sent_text"),
        code: "",
        request_id: "",
        href: "/auth/sign-in",
        link: "to_sign_in",
    };
    Ok(Page::answer(&told, StatusCode::OK, ""))
}

/// A link that is not good is told before a password is typed.
pub(in crate::http::pages) async fn show_reset(
    State(app): State<Arc<App>>,
    page: Page,
    query: Query,
) -> Result<Response, Error> {
    let token = query
        .one("token")
        .filter(|token| token.len() <= MAX_TOKEN)
        .unwrap_or_default();
    let next = next_of(&app, query.one("redirect_to"))?;
    reset_password::check(&app, token).await?;
    Ok(Choosing {
        page: &page,
        token,
        next: &next,
        action: OWN,
    }
    .ask())
}

pub(in crate::http::pages) async fn reset(
    State(app): State<Arc<App>>,
    page: Page,
    Client(peer): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = next_of(&app, body.peek("redirect_to"))?;
    let token = body.optional_text("token", MAX_TOKEN).unwrap_or_default();
    Choosing {
        page: &page,
        token: &token,
        next: &next,
        action: OWN,
    }
    .answer(body, &credentials, &peer)
    .await
}
