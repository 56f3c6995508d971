//! `/auth/sign-in` and `/auth/sign-out`, and the redirect after them: only to a path of this host
//! or a trusted origin.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::login::sign_in as flow_in;
use crate::flows::login::sign_in::{PendingSignIn, SignedIn};
use crate::flows::session::open_session::{Options, SessionTokens};
use crate::http::delivery::second_step;
use crate::http::delivery::session_delivery::Replaced;
use crate::http::delivery::signed_out::end_all;
use crate::http::delivery::views;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::demand;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_EMAIL, MAX_PASSWORD};
use crate::http::edge::query::Query;
use crate::http::edge::redirects::query_of;
use crate::http::pages::failures::is_program;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::passkey::{Button, Way};
use crate::http::pages::paths::with_next;
use crate::http::pages::typed;
use crate::http::pages::upstream::Offer;
use crate::http::pages::visitor::{MaybeSignedIn, SignedForm, see_other};
use crate::model::account::user::User;
use crate::model::login::policy::Demand;
use crate::model::session::session::Delivery;
use crate::model::session::ticket::Retry;

/// The path of the form for the password.
pub(super) const BY_PASSWORD: &str = "/auth/sign-in";

/// The path of the form that sends a link and a code.
pub(super) const BY_MAIL: &str = "/auth/sign-in/email";

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
struct SignIn<'p> {
    p: &'p Page,
    f: &'p Form,
    next: &'p str,
    query: &'p str,
    /// The page of the sign-in by mail.
    by_mail: String,
    passkey: Button,
    /// The other issuers; none where the user proves again who is there.
    providers: Vec<Offer>,
    unproven: bool,
    /// Whether the visitor is signed in and proves the password again.
    again: bool,
}

/// Returns the path of a form that signs in. A user who is `signed_in` already proves that it is
/// them again.
pub(super) fn form_of(path: &str, signed_in: bool, next: &str) -> String {
    let path = if signed_in {
        format!("{path}?again=1")
    } else {
        path.to_owned()
    };
    with_next(&path, next)
}

/// Makes the button for a passkey. A user who is `signed_in` already proves that it is them again.
fn passkey(app: &App, signed_in: bool, next: &str) -> Button {
    let way = if signed_in { Way::Prove } else { Way::SignIn };
    let button = Button::new(app, way, "passkey.sign_in", onward(app, next));
    button.with_steps(app, next)
}

/// Returns the redirect target, or the home page.
pub(in crate::http::pages) fn onward<'n>(app: &'n App, next: &'n str) -> &'n str {
    if next.is_empty() {
        &app.config.pages.home
    } else {
        next
    }
}

/// Sets the cookies of a new session, and redirects.
pub(in crate::http::pages) fn welcome(
    page: &Page,
    replaced: &Replaced<'_>,
    grant: &SessionTokens,
    user: &User,
    next: &str,
) -> Response {
    let (app, mut headers) = (&page.app, HeaderMap::new());
    replaced.deliver(
        app,
        grant,
        &mut serde_json::json!({ "user": views::user(user) }),
        &mut headers,
    );
    typed::forget_email(app, &page.typed, &mut headers);
    (headers, see_other(onward(app, next))).into_response()
}

/// Keeps a sign-in that waits for its second step in a cookie, and redirects to the page for that
/// step.
pub(super) fn wait(
    page: &Page,
    replaced: &Replaced<'_>,
    pending: &PendingSignIn,
    next: &str,
) -> Response {
    let mut headers = second_step::pending(&page.app, replaced, pending);
    typed::forget_email(&page.app, &page.typed, &mut headers);
    let to = format!("/auth/challenge{}", query_of(next));
    (headers, see_other(&to)).into_response()
}

/// Redirects to the account page, which redirects to the sign-in form if needed.
/// A program that asks for JSON learns that there is nothing for it.
pub(in crate::http::pages) async fn front(headers: HeaderMap, query: Query) -> Response {
    if is_program(&headers) {
        return Error::NotFound.into_response();
    }
    // A link of a mail without a page of its own ends here.
    let code = query.no_longer_than("error", MAX_CODE);
    code.map_or_else(
        || see_other("/auth/account"),
        |code| see_other(&format!("/auth/error?{}", pair("error", code))),
    )
}

fn pair(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish()
}

/// Returns the redirect target of a sign-in that has to meet a demand: by the page that compares the
/// session with it.
fn by_step_up(app: &App, demand: Demand, next: String) -> String {
    if demand.is_empty() {
        return next;
    }
    let page = format!("/auth/step-up?{}", demand::to_query(demand));
    let mount = &app.config.server.mount;
    mount.outside(&with_next(&page, &next)).into_owned()
}

pub(in crate::http::pages) async fn show(
    State(app): State<Arc<App>>,
    page: Page,
    MaybeSignedIn(who): MaybeSignedIn,
    mut query: Query,
) -> Result<Response, Error> {
    let demand = demand::in_query(&mut query);
    let demand = query.finish(demand)?;
    let next = by_step_up(&app, demand, query.redirect_to(&app)?);
    // `again`: the password has to be proven again.
    if who.is_some() && !query.flag("again") {
        return Ok(see_other(onward(&app, &next)));
    }
    let own = who.as_ref().map(|who| who.user.email.as_str());
    let shown = SignIn {
        p: &page,
        f: &Form::new("sign-in").filled("email", own.unwrap_or(&page.typed.email)),
        next: &next,
        query: &query_of(&next),
        by_mail: form_of(BY_MAIL, who.is_some(), &next),
        passkey: passkey(&app, who.is_some(), &next),
        providers: if who.is_some() {
            Vec::new()
        } else {
            page.providers()
        },
        unproven: false,
        again: who.is_some(),
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
    let text = body.optional_text("email", MAX_EMAIL).or_default();
    let password = body.optional_text("password", MAX_PASSWORD).or_default();
    let remember = body.has("remember");
    let (text, password) = body.finish((text, password))?;
    let mut form = Form::new("sign-in")
        .filled("email", &text)
        .filled("remember", if remember { "yes" } else { "no" });
    let email = form.email(&page, "email", &text);
    let password = form.required(&page, "password", password);
    let (email, password) = match form.finish((email, password)) {
        Ok(opened) => opened,
        Err(error) => return Ok(again(&page, &form, &next, error)),
    };
    let options = Options {
        delivery: Delivery::Cookie,
        remember,
        retry: Retry::Window,
    };
    let presented = Replaced::of(&credentials);
    match flow_in::sign_in(
        &app,
        &email,
        &password,
        options,
        presented.borrow(),
        &requester,
    )
    .await
    {
        Ok(SignedIn::Session(user, grant)) => Ok(welcome(&page, &presented, &grant, &user, &next)),
        Ok(SignedIn::Pending(pending)) => Ok(wait(&page, &presented, &pending, &next)),
        Err(error) => {
            let error = form.refused(&page, error.into())?;
            Ok(again(&page, &form, &next, error))
        }
    }
}

fn again(page: &Page, form: &Form, next: &str, error: Error) -> Response {
    let unproven = error.code() == "EMAIL_NOT_VERIFIED";
    let mut answer = Page::refuse(
        &SignIn {
            p: page,
            f: form,
            next,
            query: &query_of(next),
            by_mail: form_of(BY_MAIL, false, next),
            passkey: passkey(&page.app, false, next),
            providers: page.providers(),
            unproven,
            again: false,
        },
        error,
        onward(&page.app, next),
    );
    typed::keep_email(
        &page.app,
        &page.typed,
        form.value("email"),
        answer.headers_mut(),
    );
    answer
}

pub(in crate::http::pages) async fn sign_out(
    State(app): State<Arc<App>>,
    credentials: Credentials,
    sent: SignedForm,
) -> Result<Response, Error> {
    let SignedForm { visitor, fields } = sent;
    fields.finish(())?;
    let headers = end_all(&app, &credentials, &[], &visitor.requester).await?;
    Ok((headers, see_other("/auth/sign-in?done=signed_out")).into_response())
}
