//! `/auth/challenge`: the second step of a sign-in, with a code of the authenticator app, a code in
//! a mail, a recovery code, a passkey or, after a passkey, the password. A cookie of the sign-in page says which sign-in waits for it; without
//! one the visitor begins again on the sign-in page.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::login::second_step;
use crate::flows::login::step_code;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_PASSWORD, MAX_WORD};
use crate::http::edge::query::Query;
use crate::http::edge::redirects::query_of;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::passkey::{Button, Way};
use crate::http::pages::paths::with_next;
use crate::http::pages::visitor::see_other;
use crate::model::login::gate::Steps;

use super::enrol;
use super::kind::{BY_PASSKEY, Kind, TO_ENROL};
use super::mailbox::sent;
use super::pending::{go_on, over, secrets, verify};
use super::sign_in::onward;

#[derive(Template)]
#[template(path = "pages/challenge.html")]
struct Challenge<'p> {
    p: &'p Page,
    f: &'p Form,
    /// The form that sends a code.
    sends: &'p Form,
    passkey: Passkey,
    next: &'p str,
    query: &'p str,
    kind: Kind,
    is_sent: bool,
    /// Whether the code proves the mailbox, before a second factor is set up.
    is_first: bool,
    /// Whether the user can get a code by mail.
    can_mail: bool,
    /// The pages for the other kinds of code, each with the key of its text.
    others: Vec<(String, &'static str)>,
    /// For how long the browser can be remembered, in words; empty if it cannot.
    remember: String,
}

/// The button for a passkey, where one leads further.
struct Passkey {
    button: Option<Button>,
    /// Whether no code leads further.
    is_alone: bool,
}

impl Passkey {
    fn of(app: &App, steps: Steps, next: &str) -> Self {
        let is_alone = Kind::among(steps).next().is_none();
        let key = if is_alone {
            "passkey.use"
        } else {
            "passkey.instead"
        };
        let button = steps.intersects(BY_PASSKEY).then(|| {
            let button = Button::new(app, Way::Prove, key, onward(app, next));
            button.with_steps(app, next).main(is_alone)
        });
        Self {
            is_alone: is_alone && button.is_some(),
            button,
        }
    }

    fn button(&self) -> Option<&Button> {
        self.button.as_ref()
    }

    fn is_alone(&self) -> bool {
        self.is_alone
    }
}

/// What a page of the second step shows.
struct Shown {
    kind: Kind,
    code: Form,
    sends: Form,
    /// Whether a code was sent by mail.
    is_sent: bool,
}

impl Shown {
    /// Makes the empty page for one of the kinds.
    fn of(kind: Kind, is_sent: bool) -> Self {
        Self {
            kind,
            code: kind.form(),
            sends: Form::new(if is_sent { "again" } else { "send" }),
            is_sent,
        }
    }

    /// Shows the page, with the reason if a form was refused.
    fn answer(&self, page: &Page, next: &str, steps: Steps, refused: Option<Error>) -> Response {
        let others = Kind::among(steps).filter(|kind| *kind != self.kind);
        let is_first = steps.contains(Steps::MAILBOX) && self.kind != Kind::Password;
        let shown = Challenge {
            p: page,
            f: &self.code,
            sends: &self.sends,
            passkey: Passkey::of(&page.app, steps, next),
            next,
            query: &query_of(next),
            kind: self.kind,
            is_sent: self.is_sent,
            is_first,
            can_mail: steps.intersects(Kind::Mailed.step()),
            others: others
                .map(|kind| (with_next(kind.path(), next), kind.link()))
                .collect(),
            remember: if is_first {
                String::new()
            } else {
                page.remembered_for()
            },
        };
        let leads_to = onward(&page.app, next);
        match refused {
            None => Page::answer(&shown, StatusCode::OK, leads_to),
            Some(error) => Page::refuse(&shown, error, leads_to),
        }
    }

    /// Shows a refused form, as long as the sign-in can still be finished. If it has gone on in
    /// another window, shows what it waits for now.
    async fn again(
        &self,
        page: &Page,
        next: &str,
        credentials: &Credentials,
        error: Error,
    ) -> Result<Response, Error> {
        match second_step::look(&page.app, &secrets(credentials)).await {
            Ok(waiting) if !waiting.steps.intersects(TO_ENROL) => {
                Ok(self.answer(page, next, waiting.steps, Some(error)))
            }
            Ok(_) if self.kind == Kind::App => {
                enrol::again(page, next, credentials, &self.code, error).await
            }
            Ok(_) => Ok(go_on(next)),
            Err(error) => over(&page.app, next, error),
        }
    }
}

/// Shows the form for the code that the query asks for, or for the first kind that leads further.
pub(in crate::http::pages) async fn show(
    State(app): State<Arc<App>>,
    page: Page,
    credentials: Credentials,
    query: Query,
) -> Result<Response, Error> {
    let next = query.redirect_to(&app)?;
    let steps = match second_step::look(&app, &secrets(&credentials)).await {
        Ok(waiting) => waiting.steps,
        Err(error) => return over(&app, &next, error),
    };
    if steps.intersects(TO_ENROL) {
        return enrol::show(&page, steps, &next, &credentials).await;
    }
    let asked = match query.no_longer_than("with", MAX_WORD) {
        Some("email") => Kind::Mailed,
        Some("password") => Kind::Password,
        Some("recovery") => Kind::Recovery,
        _ => Kind::App,
    };
    let kind = std::iter::once(asked)
        .chain(Kind::ALL)
        .find(|kind| steps.intersects(kind.step()))
        .unwrap_or(Kind::Recovery);
    let done = query.no_longer_than("done", MAX_CODE);
    let is_sent = kind == Kind::Mailed && matches!(done, Some("sent" | "sent_again"));
    Ok(Shown::of(kind, is_sent).answer(&page, &next, steps, None))
}

/// Sends a code to the mailbox, and redirects to the form for it.
pub(in crate::http::pages) async fn mail(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    let is_again = body.has("again");
    body.finish(())?;
    match step_code::send(&app, &secrets(&credentials), &requester).await {
        Ok(()) => {
            let page_of_code = format!("{}&done={}", Kind::Mailed.path(), sent(is_again));
            Ok(see_other(&with_next(&page_of_code, &next)))
        }
        Err(error @ (Refused::InvalidTwoFactorCookie | Refused::TooManyAttempts)) => {
            over(&app, &next, error)
        }
        Err(error) => {
            let mut shown = Shown::of(Kind::Mailed, is_again);
            let error = shown.sends.refused(&page, error.into())?;
            shown.again(&page, &next, &credentials, error).await
        }
    }
}

/// Finishes the sign-in with a code, or shows the form again with the reason.
pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let next = body.redirect_to(&app)?;
    let code = body.optional_text("code", MAX_CODE).or_default();
    let mailed = body.optional_text("mailed", MAX_CODE);
    let recovery = body.optional_text("recovery", MAX_CODE);
    let current = body.optional_text("current", MAX_PASSWORD);
    // Only the page of a new authenticator app has it.
    let made = body.optional_text("made", MAX_CODE);
    let remember = body.has("trust");
    let (code, mailed, recovery, current, made) =
        body.finish((code, mailed, recovery, current, made))?;
    if let Some(made) = made {
        return enrol::confirm(&page, &next, &credentials, &code, &made, &requester).await;
    }
    let (kind, text) = match (current, recovery, mailed) {
        (Some(current), ..) => (Kind::Password, current),
        (_, Some(recovery), _) => (Kind::Recovery, recovery),
        (.., Some(mailed)) => (Kind::Mailed, mailed),
        _ => (Kind::App, code),
    };
    let mut shown = Shown::of(kind, kind == Kind::Mailed);
    let trust = if remember { "yes" } else { "no" };
    shown.code = shown.code.filled("trust", trust);
    let checked = kind.check(&mut shown.code, &page, text);
    let text = match shown.code.finish(checked) {
        Ok(text) => text,
        Err(error) => return shown.again(&page, &next, &credentials, error).await,
    };
    let code = kind.code(&text);
    match verify(&page, &credentials, code, remember, &next, &requester).await {
        Ok(answer) => Ok(answer),
        Err(error @ (Refused::InvalidTwoFactorCookie | Refused::TooManyAttempts)) => {
            over(&app, &next, error)
        }
        Err(error) => {
            // The code is no longer good: the page offers to send another one.
            shown.is_sent &= !matches!(error, Refused::OtpHasExpired);
            let error = shown.code.refused(&page, error.into())?;
            shown.again(&page, &next, &credentials, error).await
        }
    }
}
