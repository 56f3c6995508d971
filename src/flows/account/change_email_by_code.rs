//! Changes the email address by codes, inside one session: a code at the present address agrees, if
//! that was verified, and a code at the new one proves it. Whether the new one belongs to another account
//! is not revealed before it is proven. Every other session ends with the change.

use crate::app::App;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::email_code::{Holder, new_row};
use crate::flows::login::own_code;
use crate::flows::login::typed_code::{self, Typed};
use crate::flows::mail::require_mail::require_mail;
use crate::flows::permit::{OwnAccount, OwnWayIn, to};
use crate::flows::session::end_session::end;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::login::email_code::{CodePurpose, EmailCode};
use crate::model::mail::{Purpose, Template};
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::session::endings::Which;

use super::change_email::may_begin;
use super::mailbox;
use super::mailbox::Tie;

const PURPOSE: CodePurpose = CodePurpose::ChangeEmail;

/// Sends a code to the new email address. `agreement` is a code that was sent to the present one for
/// its verification; it is needed if that one is verified.
///
/// # Errors
/// [`Error::OtpRequired`] without it, [`Error::InvalidOtp`] and its like if it is wrong;
/// [`Error::SessionNotFresh`]; [`Error::EmailIsTheSame`].
pub async fn request(
    app: &App,
    who: OwnWayIn<'_, to::SetEmail>,
    new: Email,
    agreement: Option<&str>,
    holder: Holder<'_>,
    requester: &Requester,
) -> Result<()> {
    may_begin(app, who, &new)?;
    let present = who.user.email.clone();
    if present == new {
        return Err(Error::EmailIsTheSame);
    }
    RateLimitCheck::own_mail(app, Purpose::VerifyChange, who.user.id, requester)
        .consume(app)
        .await?;
    let agreed = if who.user.email_verified {
        let typed = Typed {
            email: &present,
            code: agreement.ok_or(Error::OtpRequired)?,
            holder,
        };
        Some(typed_code::check(app, CodePurpose::VerifyEmail, typed, requester).await?)
    } else {
        None
    };
    let code = EmailCode {
        user: Some(who.user.id),
        ..new_row(app, PURPOSE, new, requester)?
    };
    let id = who.user.id;
    app.transaction(
        requester,
        tx!(tx => {
            let user = store::account::user_changes::lock(tx.conn, id)
                .await?
                .filter(|user| user.email == present)
                .ok_or(Error::Unauthorized)?;
            match &agreed {
                Some(right) => {
                    if !right.take(tx).await? {
                        return Err(Error::InvalidOtp);
                    }
                    tx.record(Kind::EmailChangeApproved, Some(id), None, serde_json::Map::new())
                        .await?;
                }
                // The mailbox was verified meanwhile, and its owner has to agree.
                None if user.email_verified => return Err(Error::OtpRequired),
                None => {}
            }
            let taken = store::account::users::by_email(tx.conn, &code.email)
                .await?
                .is_some();
            let to = (!taken).then_some(&code.email);
            tx.queue_code(&code, &user, to).await
        }),
    )
    .await
}

/// Completes the change with the code that was sent to the new email address. The session that
/// proves it goes on, and every other one ends.
///
/// # Errors
/// [`Error::InvalidOtp`] if the code is wrong or was not sent to this email address,
/// [`Error::TooManyCodeTries`] if its tries are used up, [`Error::EmailTaken`].
pub async fn confirm(
    app: &App,
    who: OwnAccount<'_, to::SetEmail>,
    new: &Email,
    code: &str,
    requester: &Requester,
) -> Result<User> {
    require_mail(app, Error::ChangeEmailDisabled)?;
    if who.user.email == *new {
        return Err(Error::EmailIsTheSame);
    }
    let charges = RateLimitCheck::email_code(app, new, None, requester);
    charges.consume(app).await?;
    let right = own_code::check(app, PURPOSE, who.user.id, new, code).await;
    let right = charges.refund_if_not_evaluated(app, right).await?;
    charges.reset_after(app).await;
    let (id, session) = (who.user.id, who.session.id);
    let present = who.user.email.clone();
    app.transaction(
        requester,
        tx!(tx => {
            store::account::user_changes::lock_account(tx.conn, id).await?;
            let before = store::account::user_changes::lock(tx.conn, id)
                .await?
                .filter(|user| user.email == present)
                .ok_or(Error::Unauthorized)?;
            if !right.take(tx).await? {
                return Err(Error::InvalidOtp);
            }
            let to = &right.row().email;
            let (after, _) =
                match mailbox::prove(tx, &before, Some(to), &Tie::Session(session)).await {
                    // Another account has taken the email address meanwhile.
                    Err(Error::MailTokenInvalid) => return Err(Error::EmailTaken),
                    proven => proven?,
                };
            let others = Which::OfUser {
                user: id,
                except: Some(session),
            };
            end(tx, others, RevokedReason::EmailChanged).await?;
            let words = detail([("newEmail", to.as_str().into())]);
            tx.queue_notice(Template::EmailChanged, &before, words)
                .await?;
            Ok(after)
        }),
    )
    .await
}
