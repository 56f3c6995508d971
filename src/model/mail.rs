//! Mails and what their links stand for. Words are `mail`'s business, sending too.

use super::email::Email;
use super::id::{EventId, SessionId, UserId};
use super::time::Timestamp;

/// What a link in a mail lets its reader do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Prove the mailbox.
    VerifyEmail,
    /// Choose a new password.
    ResetPassword,
    /// Agree, at the old address, to another one.
    ApproveChange,
    /// Prove the new mailbox, and change to it.
    VerifyChange,
    /// Delete the account.
    DeleteUser,
    /// Choose the first password of an account that an admin made, and prove the mailbox by it.
    Invitation,
}

impl Purpose {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::ApproveChange => "approve_change",
            Self::VerifyChange => "verify_change",
            Self::DeleteUser => "delete_user",
            Self::Invitation => "invitation",
        }
    }

    /// As stored; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::VerifyEmail, Self::ResetPassword, Self::ApproveChange, Self::VerifyChange, Self::DeleteUser, Self::Invitation];
        all.into_iter().find(|p| p.as_str() == text)
    }
}

/// The row behind a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailToken {
    /// The link's token is an HMAC of it.
    pub id: EventId,
    /// What it is good for.
    pub purpose: Purpose,
    /// Whose it is.
    pub user: UserId,
    /// The user's address when it was made; worthless once that has changed.
    pub email: Email,
    /// The address to change to.
    pub new_email: Option<Email>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Worthless from then on.
    pub expires_at: Timestamp,
    /// The session that asked for it: the one that a change of address spares.
    pub session: Option<SessionId>,
}

/// Which mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// A link of this purpose.
    Link(Purpose),
    /// The password was changed or reset.
    PasswordChanged,
    /// The address was changed; goes to the old one.
    EmailChanged,
    /// A refresh token was used twice: somebody has a copy.
    RefreshTokenReused,
    /// A sign-in from a device that was not seen before.
    NewSignIn,
    /// Somebody signed up with an address that has an account; goes to its owner.
    SignedUpAgain,
}

impl Template {
    /// As stored, and the name of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link(purpose) => purpose.as_str(),
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::NewSignIn => "new_sign_in",
            Self::SignedUpAgain => "signed_up_again",
        }
    }

    /// As stored; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let notices = [Self::PasswordChanged, Self::EmailChanged, Self::RefreshTokenReused, Self::NewSignIn, Self::SignedUpAgain];
        Purpose::parse(text).map(Self::Link).or_else(|| notices.into_iter().find(|t| t.as_str() == text))
    }
}

/// A mail that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// Its `Message-ID`: who gets it twice after a crash may know it by that.
    pub id: EventId,
    /// Which one.
    pub template: Template,
    /// To whom; `None`: nobody, though it must look as if.
    pub recipient: Option<Email>,
    /// The link in it. A mail that is all link and has none yet is an address that somebody wrote: whose it is has not been looked up.
    pub token: Option<EventId>,
    /// What else its words need; no secret.
    pub detail: serde_json::Map<String, serde_json::Value>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
}
