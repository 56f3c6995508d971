//! Sets a new password for a user who has forgotten the old one, and the first one of an invited
//! user. All sessions and all other links end, and the mailbox counts as verified.

use serde_json::Map;

use crate::app::App;
use crate::model::account::email::Email;
use crate::model::account::password::Password;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::login::email_code::CodePurpose;
use crate::model::mail::{MailToken, Purpose, Template};
use crate::model::session::session::RevokedReason;
use crate::store::session::endings::Which;
use crate::store::{self, work};

use super::choose_password::consider;
use super::claim_mailbox::{Profile, claim};
use super::sign_up::account_id;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::typed_code::{self, RightCode, Typed};
use crate::flows::mail::mail_links;
use crate::flows::mail::require_mail::require_mail;
use crate::flows::session::end_session::end;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// Sends the link to the user with this email address, who is only looked up after the answer.
pub async fn request(
    app: &App,
    email: &Email,
    redirect: Option<String>,
    requester: &Requester,
) -> Result<()> {
    require_mail(app, Error::ResetPasswordDisabled)?;
    RateLimitCheck::mail(app, Purpose::ResetPassword, email, requester)
        .consume(app)
        .await?;
    let email = email.clone();
    app.transaction(
        requester,
        tx!(tx => tx.queue_request(Purpose::ResetPassword, &email, redirect.as_deref()).await),
    )
    .await
}

/// Whose password a link sets.
pub struct Owner {
    /// The email address of the account.
    pub email: Email,
    /// Whether the link is an invitation: the account has had no password yet.
    pub is_invited: bool,
}

/// Returns whose link it is, if it is valid, without using it up.
pub async fn check(app: &App, token: &str) -> Result<Owner> {
    let token = open(app, token).await?;
    Ok(Owner {
        is_invited: token.purpose == Purpose::Invitation,
        email: token.email,
    })
}

/// Returns the name and the email address of the link's user, which are no good passwords; nothing
/// if the link is not valid.
pub async fn own_words(app: &App, token: &str) -> Result<Vec<String>> {
    let Ok(token) = open(app, token).await else {
        return Ok(Vec::new());
    };
    let id = token.user;
    let user = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?;
    let name = user.map(|found| found.user.name);
    Ok(name.into_iter().chain([token.email.to_string()]).collect())
}

/// Opens a reset link. Here an expired link gives the same error as any other invalid one (contract
/// section 5.6).
async fn open(app: &App, token: &str) -> Result<MailToken> {
    mail_links::open_password(app, token).await.map_err(|e| {
        if matches!(e, Error::MailTokenExpired) {
            Error::MailTokenInvalid
        } else {
            e
        }
    })
}

/// Sets the password; a link works once. Returns the user with the new password: the change
/// invalidates all known devices, and the one on which it was made becomes known again.
pub async fn reset(app: &App, token: &str, new: &str, requester: &Requester) -> Result<User> {
    // A password that is refused does not use the link up.
    let new = Password::chosen(new, app.config.passwords.length)?;
    let token = open(app, token).await?;
    let id = token.user;
    let known = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?
        .ok_or(Error::MailTokenInvalid)?;
    set(app, Key::Link(token), &known.user, new, requester).await
}

/// Sets the password of a user who proves the mailbox by a code, which works once.
///
/// # Errors
/// [`Error::InvalidOtp`], [`Error::OtpExpired`] and [`Error::TooManyCodeTries`]; those of a password
/// that may not be chosen, which use nothing up; [`Error::UserNotFound`] to a reader of the mailbox who has
/// no account any more.
pub async fn reset_by_code(
    app: &App,
    typed: Typed<'_>,
    new: &str,
    requester: &Requester,
) -> Result<User> {
    let new = Password::chosen(new, app.config.passwords.length)?;
    let right = typed_code::check(app, CodePurpose::ResetPassword, typed, requester).await?;
    let email = typed.email.clone();
    let known = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &email).await))
        .await?
        .ok_or(Error::UserNotFound)?;
    if known.user.disabled_at.is_some() {
        return Err(Error::UserDisabled);
    }
    set(app, Key::Code(right), &known.user, new, requester).await
}

/// What proves the mailbox of the account whose password is set.
#[derive(Clone)]
enum Key {
    Link(MailToken),
    Code(RightCode),
}

impl Key {
    fn email(&self) -> &Email {
        match self {
            Self::Link(token) => &token.email,
            Self::Code(code) => &code.row().email,
        }
    }

    /// Returns whether the user gets a notice; one who chooses a first password gets none.
    fn is_noticed(&self) -> bool {
        match self {
            Self::Link(token) => token.purpose == Purpose::ResetPassword,
            Self::Code(_) => true,
        }
    }

    fn refusal(&self) -> Error {
        match self {
            Self::Link(_) => Error::MailTokenInvalid,
            Self::Code(_) => Error::InvalidOtp,
        }
    }

    /// Uses it up; returns `false` if it was used before.
    async fn take(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let now = tx.now();
        match self {
            Self::Link(token) => Ok(store::mails::end_token(tx.conn, token.id, now).await?),
            Self::Code(code) => code.take(tx).await,
        }
    }
}

async fn set(
    app: &App,
    key: Key,
    known: &User,
    new: Password,
    requester: &Requester,
) -> Result<User> {
    consider(app, &new, &[key.email().as_str(), &known.name]).await?;
    let hash = app.hasher.hash(requester, new).await?;
    let account = account_id(app);
    let id = known.id;
    app.transaction(
        requester,
        tx!(tx => {
            let now = tx.now();
            store::account::user_changes::lock_account(tx.conn, id).await?;
            let mut user = store::account::user_changes::lock(tx.conn, id)
                .await?
                .ok_or_else(|| key.refusal())?;
            if user.email != *key.email() || !key.take(tx).await? {
                return Err(key.refusal());
            }
            if !user.email_verified {
                // The mail also proves the mailbox: everything that was set before without a proof
                // ends. The name may be a stranger's text, so the mail about this does not repeat
                // it.
                let claimed = claim(tx, &user, None, Profile::Kept).await?;
                user = User {
                    name: String::new(),
                    ..claimed
                };
            }
            store::account::users::set_password(tx.conn, user.id, account, None, &hash, now)
                .await?;
            store::mails::end_tokens(tx.conn, user.id, now).await?;
            let all = Which::OfUser {
                user: user.id,
                except: None,
            };
            end(tx, all, RevokedReason::PasswordChanged).await?;
            tx.record(Kind::PasswordChanged, Some(user.id), None, Map::new())
                .await?;
            if key.is_noticed() {
                tx.queue_notice(Template::PasswordChanged, &user, Map::new())
                    .await?;
            }
            store::account::user_changes::lock(tx.conn, user.id)
                .await?
                .ok_or_else(|| key.refusal())
        }),
    )
    .await
}
