//! `/auth/sign-up`.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::sign_up as flow_up;
use crate::flows::session::open_session::Options;
use crate::model::account::profile::DisplayName;
use crate::model::session::session::Delivery;
use crate::model::session::ticket::Retry;

use super::mailbox;
use super::sign_in::{onward, welcome};
use super::verify_email::DONE;
use crate::http::delivery::device::remember_asker;
use crate::http::delivery::session_delivery::Replaced;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_EMAIL;
use crate::http::edge::query::Query;
use crate::http::edge::redirects::query_of;
use crate::http::pages::form::{Form, TypedTwice};
use crate::http::pages::page::Page;
use crate::http::pages::paths::with_next;
use crate::http::pages::typed;
use crate::http::pages::upstream::Offer;
use crate::http::pages::visitor::see_other;

#[derive(Template)]
#[template(path = "pages/sign_up.html")]
struct SignUp<'p> {
    p: &'p Page,
    f: &'p Form,
    next: &'p str,
    query: &'p str,
    providers: Vec<Offer>,
}

pub(in crate::http::pages) async fn show(
    State(app): State<Arc<App>>,
    page: Page,
    query: Query,
) -> Result<Response, Error> {
    if !app.config.sign_up.enabled {
        return Err(Refused::SignUpDisabled.into());
    }
    let next = query.redirect_to(&app)?;
    let shown = SignUp {
        p: &page,
        f: &Form::new("sign-up").filled("email", &page.typed.email),
        next: &next,
        query: &query_of(&next),
        providers: page.providers_of_sign_up(),
    };
    Ok(Page::answer(&shown, StatusCode::OK, onward(&app, &next)))
}

pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    let name = body.checked_text::<DisplayName>("name").or_default();
    let text = body.optional_text("email", MAX_EMAIL).or_default();
    let typed = TypedTwice::read(&mut body);
    let (name, text, typed) = body.finish((name, text, typed))?;
    let mut form = Form::new("sign-up")
        .filled("name", name.trim())
        .filled("email", &text);
    let password = form.typed_twice(&page, typed);
    let name = form.name(&page, "name", &name);
    let email = form.email(&page, "email", &text);
    let again = |form: &Form, error| {
        let mut answer = Page::refuse(
            &SignUp {
                p: &page,
                f: form,
                next: &next,
                query: &query_of(&next),
                providers: page.providers_of_sign_up(),
            },
            error,
            onward(&app, &next),
        );
        typed::keep_email(&app, &page.typed, &text, answer.headers_mut());
        answer
    };
    let (name, email, password) = match form.finish((name, email, password)) {
        Ok(opened) => opened,
        Err(error) => return Ok(again(&form, error)),
    };
    let wanted = flow_up::Form {
        name,
        email,
        password,
        image: None,
        callback: Some(with_next(&app.config.server.mount.outside(DONE), &next)),
    };
    let options = Options {
        delivery: Delivery::Cookie,
        remember: true,
        retry: Retry::Window,
    };
    let presented = Replaced::of(&credentials);
    match flow_up::sign_up(&app, wanted, options, presented.borrow(), &requester).await {
        Ok((user, Some(grant))) => Ok(welcome(&page, &presented, &grant, &user, &next)),
        // Known or new: only the mail shows which it is.
        Ok((user, None)) => {
            let mut answer = if app.config.sign_up.require_email_verification {
                mailbox::SIGNED_UP.lead(&page, &text, "signed_up", &next)
            } else {
                let mut made = see_other(&with_next("/auth/sign-in?done=made", &next));
                typed::keep_email(&app, &page.typed, &text, made.headers_mut());
                made
            };
            remember_asker(&app, &user, true, answer.headers_mut());
            Ok(answer)
        }
        Err(error) => {
            let error = form.refused(&page, error.into())?;
            Ok(again(&form, error))
        }
    }
}
