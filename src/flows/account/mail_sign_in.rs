//! Signs in by a code or a link that was sent to the mailbox; a new email address gets an account
//! where the settings let it sign up. The proof of the mailbox is a first step like a password: the gate
//! decides whether a second one follows. An account whose mailbox was never verified belongs to the owner of
//! the mailbox from then on, unless the browser is tied to it (`mailbox`).

pub use super::mail_entry::{Arrival, NewProfile};
use std::sync::Arc;

use super::mail_entry::{Entry, Next, Outcome, subject};
use super::sign_up::account_id;
use crate::app::App;
use crate::flows::key::current_keys::with_current_keys;
use crate::flows::limit::rate_limit;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::challenge::NewChallenge;
use crate::flows::login::sign_in::SignedIn;
use crate::flows::login::typed_code::{self, RightCode, Typed};
use crate::flows::mail::sign_in_link;
use crate::flows::session::carried;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::PendingSession;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::kernel::time::Timestamp;
use crate::model::login::email_code::CodePurpose;
use crate::model::session::session::RevokedReason;

/// A sign-in by mail.
pub struct ByMail {
    /// How far it has come.
    pub signed_in: SignedIn,
    /// Whether the account was made by it.
    pub is_new: bool,
}

/// What a sign-in link says before it is used.
pub struct OpenedLink {
    /// The email address that it was sent to.
    pub email: String,
    /// Whether this browser asked for it.
    pub is_own: bool,
    /// The `User-Agent` of the browser that asked.
    pub user_agent: String,
    /// When it was asked for.
    pub asked_at: Timestamp,
}

/// Returns what a sign-in link says, without using it up.
///
/// # Errors
/// [`Error::MailTokenInvalid`] or [`Error::MailTokenExpired`] if it is no longer good.
pub async fn look(app: &App, link: &str, bindings: &[&str]) -> Result<OpenedLink> {
    let row = sign_in_link::open(app, link).await?;
    let is_own = typed_code::is_of_asker(&row, bindings);
    Ok(OpenedLink {
        email: row.email.to_string(),
        is_own,
        user_agent: row.user_agent,
        asked_at: row.created_at,
    })
}

/// Signs in by a link.
///
/// # Errors
/// [`Error::MailTokenInvalid`] or [`Error::MailTokenExpired`] if it is no longer good; the refusals of
/// the gate.
pub async fn by_link(
    app: &App,
    link: &str,
    arrival: Arrival<'_>,
    requester: &Requester,
) -> Result<ByMail> {
    let outcome = async {
        if !app.config.sign_in.by_mail {
            return Err(Error::EmailSignInDisabled);
        }
        let right = RightCode::of_link(sign_in_link::open(app, link).await?);
        match enter(app, &right, NewProfile::default(), arrival, requester).await {
            Err(Error::InvalidOtp) => Err(Error::MailTokenInvalid),
            entered => entered,
        }
    };
    counted(app, outcome.await)
}

/// Signs in by a code.
///
/// # Errors
/// [`Error::InvalidOtp`], [`Error::OtpExpired`] and [`Error::TooManyCodeTries`]; the refusals of the
/// gate.
pub async fn by_code(
    app: &App,
    typed: Typed<'_>,
    profile: NewProfile,
    arrival: Arrival<'_>,
    requester: &Requester,
) -> Result<ByMail> {
    let outcome = async {
        let right = typed_code::check(app, CodePurpose::SignIn, typed, requester).await?;
        enter(app, &right, profile, arrival, requester).await
    };
    counted(app, outcome.await)
}

fn counted(app: &App, outcome: Result<ByMail>) -> Result<ByMail> {
    app.metrics.sign_in_by_mail(match &outcome {
        Ok(done) => match done.signed_in {
            SignedIn::Session(..) => "success",
            SignedIn::Pending(_) => "second_step",
        },
        Err(
            Error::InvalidOtp
            | Error::OtpExpired
            | Error::MailTokenInvalid
            | Error::MailTokenExpired,
        ) => "wrong_code",
        Err(Error::TooManyCodeTries | Error::Limited(_)) => "limited",
        Err(Error::BannedUser | Error::UserDisabled | Error::SignUpDisabled) => "shut_out",
        Err(_) => "error",
    });
    outcome
}

/// Uses the code up and opens a session, or the second step.
async fn enter(
    app: &App,
    right: &RightCode,
    profile: NewProfile,
    arrival: Arrival<'_>,
    requester: &Requester,
) -> Result<ByMail> {
    let success = RateLimitCheck::success(app, &right.row().email, requester);
    success.look(app)?;
    let ending = SessionRevocation::of(
        app,
        &arrival.presented.sessions(app),
        arrival.presented.refresh,
        RevokedReason::Replaced,
    )
    .await?
    .and_left(carried::had(app, arrival.presented.devices));
    let mut looked = false;
    let entered = loop {
        let outcome = with_current_keys(app, || async {
            let entry = Entry {
                right: right.clone(),
                subject: subject(app, right, &profile, arrival).await?,
                account: account_id(app),
                opening: None,
                challenge: NewChallenge::prepare(app, arrival.options),
                ending: ending.clone(),
                success: success.clone(),
                policies: Arc::clone(&app.config.policies),
                sign_up: RateLimitCheck::sign_up(app, requester),
                may_sign_up: app.config.sign_up.enabled
                    && app.config.sign_up.domains.admit(&right.row().email),
                notify: app.config.mail.notify_new_sign_in,
            };
            let opening =
                PendingSession::prepare(app, &entry.subject.user, arrival.options, requester)?;
            let entry = Entry {
                opening: Some(opening),
                ..entry
            };
            app.transaction(requester, tx!(tx => Box::pin(entry.run(tx)).await))
                .await
        })
        .await;
        match outcome {
            // The account was made or changed between the look-up and the write: look once more.
            Err(Error::UserExists | Error::Unauthorized) if !looked => looked = true,
            Err(error) => return Err(rate_limit::noted(app, error)),
            Ok(Outcome::Refused(refusal)) => return Err(refusal.0),
            Ok(Outcome::Entered(entered)) => break entered,
        }
    };
    let is_new = entered.is_new;
    let signed_in = match entered.next {
        Next::Pending(pending) => SignedIn::Pending(pending),
        Next::Session(opening, beginning) => {
            let tokens = opening.grant(app, &entered.user, beginning).await?;
            SignedIn::Session(entered.user, tokens)
        }
    };
    Ok(ByMail { signed_in, is_new })
}
