//! `/auth/sign-in/code`: signs in with the code of a mail. The page that takes it names the email
//! address and sends the mail again; `/auth/sign-in/email` shows it after the mail was sent.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::mail_sign_in;
use crate::flows::account::mail_sign_in::{Arrival, ByMail, NewProfile};
use crate::flows::login::sign_in::SignedIn;
use crate::flows::login::typed_code::Typed;
use crate::flows::session::open_session::Options;
use crate::http::delivery::asker::Asker;
use crate::http::delivery::email_code::Held;
use crate::http::delivery::session_delivery::Replaced;
use crate::http::edge::body::Submitted;
use crate::http::edge::client::Client;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_CODE, MAX_EMAIL};
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::paths::with_next;
use crate::http::pages::visitor::see_other;
use crate::model::account::email::Email;
use crate::model::session::session::Delivery;
use crate::model::session::ticket::Retry;

use super::sign_in::{BY_MAIL, BY_PASSWORD, form_of, onward, wait, welcome};

/// Refuses a request if the settings do not offer a sign-in by mail.
pub(super) fn require(page: &Page) -> Result<(), Error> {
    if page.mails_sign_in() {
        Ok(())
    } else {
        Err(Refused::EmailSignInDisabled.into())
    }
}

#[derive(Template)]
#[template(path = "pages/enter_code.html")]
struct EnterCode<'p> {
    p: &'p Page,
    f: &'p Form,
    /// The form that sends the mail again.
    again: &'p Form,
    /// The text before the email address.
    before: &'p str,
    email: &'p str,
    after: &'p str,
    /// Whether the code is no longer good, so that only another mail helps.
    is_over: bool,
    next: &'p str,
    /// The form for another email address.
    other: String,
    /// The form for the password.
    by_password: String,
}

/// The two forms of the page.
pub(super) struct Forms {
    /// The form for the code.
    pub(super) code: Form,
    /// The form that sends the mail again.
    pub(super) again: Form,
}

impl Forms {
    /// Makes the empty forms after a mail to this email address.
    pub(super) fn of(email: &str) -> Self {
        Self {
            code: Form::new("email-code").filled("email", email),
            again: Form::new("again"),
        }
    }

    /// Shows the page, with the reason if one of its forms was refused.
    pub(super) fn show(
        &self,
        page: &Page,
        next: &str,
        signed_in: bool,
        refused: Option<Error>,
    ) -> Response {
        let email = self.code.value("email");
        // A mail is only promised if the email address gets one with or without an account.
        let text = page.t(if page.admits(email) {
            "email_sign_in.sent_text"
        } else {
            "email_sign_in.sent_if_text"
        });
        let is_over = refused
            .as_ref()
            .is_some_and(|error| matches!(error.code(), "OTP_EXPIRED" | "TOO_MANY_ATTEMPTS"));
        let (before, after) = text.split_once("{email}").unwrap_or((text, ""));
        let shown = EnterCode {
            p: page,
            f: &self.code,
            again: &self.again,
            before,
            email,
            after,
            is_over,
            next,
            other: form_of(BY_MAIL, signed_in, next),
            by_password: form_of(BY_PASSWORD, signed_in, next),
        };
        let leads_to = onward(&page.app, next);
        match refused {
            None => Page::answer(&shown, StatusCode::OK, leads_to),
            Some(error) => Page::refuse(&shown, error, leads_to),
        }
    }
}

/// Signs in with the code, or shows the page again with the reason.
pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    page: Page,
    Client(requester): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    require(&page)?;
    let next = body.redirect_to(&app)?;
    let text = body.optional_text("email", MAX_EMAIL).or_default();
    let code = body.optional_text("code", MAX_CODE).or_default();
    let remember = body.has("remember");
    let (text, code) = body.finish((text, code))?;
    // The page has a valid one in a hidden field.
    let Ok(email) = text.parse::<Email>() else {
        return Ok(see_other(&with_next(BY_MAIL, &next)));
    };
    let mut forms = Forms::of(&text);
    let checked = if remember { "yes" } else { "no" };
    forms.code = forms.code.filled("remember", checked);
    let code = forms.code.six_digits(&page, "code", &code);
    let code = match forms.code.finish(code) {
        Ok(code) => code,
        Err(error) => return Ok(forms.show(&page, &next, false, Some(error))),
    };
    let held = Held::of(&credentials, None, None);
    let typed = Typed {
        email: &email,
        code: &code,
        holder: held.borrow(),
    };
    let asker = Asker::of(&app, &credentials).await?;
    let presented = Replaced::of(&credentials);
    let arrival = Arrival {
        options: Options {
            delivery: Delivery::Cookie,
            remember,
            retry: Retry::Window,
        },
        presented: presented.borrow(),
        evidence: asker.evidence(None),
    };
    let profile = NewProfile::default();
    match mail_sign_in::by_code(&app, typed, profile, arrival, &requester).await {
        Ok(ByMail { signed_in, .. }) => Ok(match signed_in {
            SignedIn::Session(user, grant) => welcome(&page, &presented, &grant, &user, &next),
            SignedIn::Pending(pending) => wait(&page, &presented, &pending, &next),
        }),
        Err(error) => {
            let error = forms.code.refused(&page, error.into())?;
            Ok(forms.show(&page, &next, false, Some(error)))
        }
    }
}
