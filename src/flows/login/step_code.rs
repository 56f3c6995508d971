//! Mails the code of a second step, for a pending sign-in or inside a session. Who asks is known, so the
//! limits of mails answer with an error here. `factor_code` compares the code.

use crate::app::App;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::mail::require_mail::require_mail;
use crate::flows::session::clearance;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::EventId;
use crate::model::login::email_code::{CodePurpose, EmailCode};
use crate::model::login::gate::{Decision, Steps};
use crate::model::login::policy::Rules;
use crate::store;

use super::challenge;
use super::email_code::new_row;

const PURPOSE: CodePurpose = CodePurpose::SecondStep;

/// Refuses if a code in a mail is no second step for this user by the settings.
///
/// # Errors
/// [`Error::OtpNotConfigured`]; [`Error::EmailNotVerified`] if the mailbox was never proven.
pub(in crate::flows) fn admit(app: &App, user: &User) -> Result<()> {
    if !app
        .config
        .policies
        .general()
        .rules
        .contains(Rules::MAILED_CODE)
    {
        return Err(Error::OtpNotConfigured);
    }
    require_mail(app, Error::OtpNotConfigured)?;
    if user.email_verified {
        Ok(())
    } else {
        Err(Error::EmailNotVerified)
    }
}

/// Mails a code for the pending sign-in of one of these secrets.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if there is none, [`Error::OtpNotConfigured`] if a code in a
/// mail does not lead further, [`Error::TooManyRequests`] or [`Error::Limited`] if too many were sent.
pub async fn send(app: &App, secrets: &[&str], requester: &Requester) -> Result<()> {
    let challenge = challenge::find(app, secrets).await?;
    let user = challenge::user_of(app, &challenge.evidence).await?.user;
    match clearance::decide_now(app, &user, &challenge.evidence).await? {
        Decision::Ask(steps) if steps.contains(Steps::MAILED_CODE) => admit(app, &user)?,
        // A proof of the mailbox comes before the enrolment of a first factor.
        Decision::Ask(steps) if steps.contains(Steps::MAILBOX) => {
            require_mail(app, Error::OtpNotConfigured)?;
        }
        Decision::Ask(_) => return Err(Error::OtpNotConfigured),
        Decision::Open(_) | Decision::Refuse(_) => return Err(Error::InvalidTwoFactorCookie),
    }
    send_to(app, user, Some(challenge.id), requester).await
}

/// Mails a code to a user who may get one, for a pending sign-in or inside a session.
pub(in crate::flows) async fn send_to(
    app: &App,
    user: User,
    challenge: Option<EventId>,
    requester: &Requester,
) -> Result<()> {
    RateLimitCheck::code_request(app, PURPOSE, &user.email, None, requester)
        .consume(app)
        .await?;
    let code = EmailCode {
        user: Some(user.id),
        challenge,
        ..new_row(app, PURPOSE, user.email.clone(), requester)?
    };
    app.transaction(
        requester,
        tx!(tx => {
            // The row of this moment: the mail must not go to an address that was given up.
            let user = store::account::user_changes::lock(tx.conn, user.id)
                .await?
                .filter(|found| found.email == code.email && found.login_epoch == user.login_epoch)
                .ok_or(Error::InvalidTwoFactorCookie)?;
            tx.queue_code(&code, &user, Some(&user.email)).await
        }),
    )
    .await
}
