//! Sends a user the link that a visitor could request on the sign-in pages, because an admin
//! decided so: a link to choose a new password, or one to verify the email address.

use crate::app::App;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::mail::Purpose;
use crate::store;

use crate::flows::mail::require_mail::require_mail;
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// A link that an admin may send to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Opens the page on which a new password is chosen.
    ResetPassword,
    /// Verifies the email address.
    VerifyEmail,
}

impl Link {
    fn purpose(self) -> Purpose {
        match self {
            Self::ResetPassword => Purpose::ResetPassword,
            Self::VerifyEmail => Purpose::VerifyEmail,
        }
    }

    fn without_mail(self) -> Error {
        match self {
            Self::ResetPassword => Error::ResetPasswordDisabled,
            Self::VerifyEmail => Error::VerificationEmailNotEnabled,
        }
    }
}

/// Sends the link to the email address of the user, and records it. The admin never sees the link,
/// so this needs no more than the permission to change the user.
///
/// # Errors
/// [`Error::UserDisabled`]; [`Error::EmailAlreadyVerified`]; [`Error::TooManyRequests`] if the email
/// address has had too many mails of the kind.
pub async fn send(
    app: &App,
    permitted: Permitted<'_, to::UpdateUser>,
    id: UserId,
    link: Link,
    requester: &Requester,
) -> Result<()> {
    let id = permitted.on_user(app, id).await?.target().id;
    require_mail(app, link.without_mail())?;
    app.transaction(
        requester,
        tx!(tx => {
            let user = store::account::user_changes::lock(tx.conn, id)
                .await?
                .ok_or(Error::UserNotFound)?;
            if user.disabled_at.is_some() {
                return Err(Error::UserDisabled);
            }
            if link == Link::VerifyEmail && user.email_verified {
                return Err(Error::EmailAlreadyVerified);
            }
            tx.queue_link(link.purpose(), &user, None).await?;
            let what = detail([("purpose", link.purpose().as_str().into())]);
            tx.record(Kind::LinkSent, Some(id), None, what).await
        }),
    )
    .await
}
