//! Verifies a mailbox after a sign-up. Whether an email address is known is not revealed: nothing
//! is looked up before the answer.

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::login::email_code::CodePurpose;
use crate::model::mail::Purpose;
use crate::store::{self, work};

use super::mailbox;
use super::mailbox::{Evidence, Proof};
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::typed_code::{self, Typed};
use crate::flows::mail::mail_links;
use crate::flows::mail::require_mail::require_mail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// Sends the link to the signed-in user or to the user with the email address, if there is one.
pub async fn request(
    app: &App,
    email: &Email,
    signed_in: Option<&User>,
    callback: Option<String>,
    requester: &Requester,
) -> Result<()> {
    require_mail(app, Error::VerificationEmailNotEnabled)?;
    if let Some(user) = signed_in {
        if user.email != *email {
            return Err(Error::EmailMismatch);
        }
        if user.email_verified {
            return Err(Error::EmailAlreadyVerified);
        }
    }
    RateLimitCheck::mail(app, Purpose::VerifyEmail, email, requester)
        .consume(app)
        .await?;
    let email = email.clone();
    app.transaction(
        requester,
        tx!(tx => tx.queue_request(Purpose::VerifyEmail, &email, callback.as_deref()).await),
    )
    .await
}

/// Applies the link; repeating it until it expires changes nothing more.
pub async fn verify(
    app: &App,
    text: &str,
    evidence: Evidence<'_>,
    requester: &Requester,
) -> Result<Proof> {
    let token = mail_links::open(app, text, Purpose::VerifyEmail).await?;
    let tie = mailbox::weigh(app, token.user, &evidence, requester).await?;
    let work = tx!(tx => {
        store::account::user_changes::lock_account(tx.conn, token.user).await?;
        let user = store::account::user_changes::lock(tx.conn, token.user)
            .await?
            .ok_or(Error::UserNotFound)?;
        if user.email != token.email {
            return Err(Error::MailTokenInvalid);
        }
        if user.email_verified {
            return Ok((user, None));
        }
        mailbox::prove(tx, &user, None, &tie).await
    });
    mailbox::told(app, app.transaction(requester, work).await?)
}

/// Applies a code that was sent to the mailbox, which works once.
///
/// # Errors
/// [`Error::InvalidOtp`], [`Error::OtpExpired`] and [`Error::TooManyCodeTries`];
/// [`Error::UserNotFound`] to a reader of the mailbox who has no account any more.
pub async fn verify_by_code(
    app: &App,
    typed: Typed<'_>,
    evidence: Evidence<'_>,
    requester: &Requester,
) -> Result<Proof> {
    let right = typed_code::check(app, CodePurpose::VerifyEmail, typed, requester).await?;
    let email = typed.email.clone();
    let known = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &email).await))
        .await?
        .ok_or(Error::UserNotFound)?;
    let id = known.user.id;
    let tie = mailbox::weigh(app, id, &evidence, requester).await?;
    let work = tx!(tx => {
        store::account::user_changes::lock_account(tx.conn, id).await?;
        let user = store::account::user_changes::lock(tx.conn, id)
            .await?
            .filter(|user| user.email == right.row().email)
            .ok_or(Error::UserNotFound)?;
        if !right.take(tx).await? {
            return Err(Error::InvalidOtp);
        }
        if user.email_verified {
            return Ok((user, None));
        }
        mailbox::prove(tx, &user, None, &tie).await
    });
    mailbox::told(app, app.transaction(requester, work).await?)
}
