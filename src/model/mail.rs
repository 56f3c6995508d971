//! Mails and the links in them. `mail` renders and sends them.

use crate::model::account::email::Email;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::login::email_code::CodePurpose;

/// What the reader of a mail can do with its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Prove access to the mailbox.
    VerifyEmail,
    /// Choose a new password.
    ResetPassword,
    /// Agree, from the old mailbox, to a change of the email address.
    ApproveChange,
    /// Prove access to the new mailbox, which completes the change.
    VerifyChange,
    /// Delete the account.
    DeleteUser,
    /// Choose the first password of an account that an admin created, which also proves the
    /// mailbox.
    Invitation,
}

impl Purpose {
    /// Lists every purpose of a link.
    pub const ALL: [Self; 6] = [
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::ApproveChange,
        Self::VerifyChange,
        Self::DeleteUser,
        Self::Invitation,
    ];

    /// Returns the text that is stored.
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

    /// Parses the stored text; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }
}

/// The database row of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailToken {
    /// The id of the row. The link's token is an HMAC of it.
    pub id: EventId,
    /// What the link lets its reader do.
    pub purpose: Purpose,
    /// The user whom the link belongs to.
    pub user: UserId,
    /// The user's email address when the link was made. The link is invalid once it has changed.
    pub email: Email,
    /// The new email address, if the link is for a change.
    pub new_email: Option<Email>,
    /// When it was made.
    pub created_at: Timestamp,
    /// End of validity, exclusive.
    pub expires_at: Timestamp,
    /// The session that asked for the link; a change of the email address does not end it.
    pub session: Option<SessionId>,
}

/// Which mail it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// A mail with a link for this purpose.
    Link(Purpose),
    /// A mail with a code for this purpose, and perhaps a link beside it.
    Code(CodePurpose),
    /// The password was changed or reset.
    PasswordChanged,
    /// The email address was changed; sent to the old one.
    EmailChanged,
    /// A refresh token was used twice, so another party has a copy.
    RefreshTokenReused,
    /// A sign-in from a device that was not known.
    NewSignIn,
    /// A sign-up with an email address that already has an account; sent to its owner.
    SignedUpAgain,
    /// An authenticator app was enrolled, and two-step sign-in is on.
    FactorEnrolled,
    /// Two-step sign-in was turned off.
    FactorRemoved,
    /// An operator or an admin removed every second factor.
    FactorsReset,
    /// A recovery code was used.
    RecoveryCodeUsed,
    /// New recovery codes were made.
    RecoveryCodesRenewed,
    /// A passkey was added to the account.
    PasskeyAdded,
    /// A passkey was removed from the account.
    PasskeyRemoved,
    /// A passkey was used whose authenticator has a copy.
    PasskeyCloned,
    /// An identity of another issuer was linked to the account.
    UpstreamLinked,
    /// An identity of another issuer was unlinked from the account.
    UpstreamUnlinked,
    /// Another party has entered the right password and then wrong codes.
    LoginGuessed,
}

impl Template {
    /// Lists every template without a link.
    pub const NOTICES: [Self; 16] = [
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::RefreshTokenReused,
        Self::NewSignIn,
        Self::SignedUpAgain,
        Self::FactorEnrolled,
        Self::FactorRemoved,
        Self::FactorsReset,
        Self::RecoveryCodeUsed,
        Self::RecoveryCodesRenewed,
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::PasskeyCloned,
        Self::UpstreamLinked,
        Self::UpstreamUnlinked,
        Self::LoginGuessed,
    ];

    /// Returns every template of a mail.
    pub fn all() -> impl Iterator<Item = Self> {
        let links = Purpose::ALL.into_iter().map(Self::Link);
        let codes = CodePurpose::ALL.into_iter().map(Self::Code);
        links.chain(codes).chain(Self::NOTICES)
    }

    /// Returns the stored text, which is also the name of the template's files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link(purpose) => purpose.as_str(),
            Self::Code(purpose) => purpose.as_str(),
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::NewSignIn => "new_sign_in",
            Self::SignedUpAgain => "signed_up_again",
            Self::FactorEnrolled => "factor_enrolled",
            Self::FactorRemoved => "factor_removed",
            Self::FactorsReset => "factors_reset",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::RecoveryCodesRenewed => "recovery_codes_renewed",
            Self::PasskeyAdded => "passkey_added",
            Self::PasskeyRemoved => "passkey_removed",
            Self::PasskeyCloned => "passkey_cloned",
            Self::UpstreamLinked => "upstream_linked",
            Self::UpstreamUnlinked => "upstream_unlinked",
            Self::LoginGuessed => "login_guessed",
        }
    }

    /// Parses the stored text; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|template| template.as_str() == text)
    }
}

/// A mail that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// Its `Message-ID`. A mail that is sent twice after a crash keeps it, so that the copy can be
    /// recognised.
    pub id: EventId,
    /// Which mail it is.
    pub template: Template,
    /// The recipient. `None` if no mail is sent, although the row has to look as if one were.
    pub recipient: Option<Email>,
    /// The row of the link or of the code. `None` while the mail is an unresolved request: the account behind the
    /// email address is looked up when the mail is sent, so that the response time reveals nothing.
    pub token: Option<EventId>,
    /// Further values for the template; contains no secret.
    pub detail: serde_json::Map<String, serde_json::Value>,
    /// The number of attempts so far.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_and_purposes_are_stored_by_names_that_read_back() {
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::parse(purpose.as_str()), Some(purpose));
            assert_eq!(Template::Link(purpose).as_str(), purpose.as_str());
        }
        for template in Template::all() {
            assert_eq!(Template::parse(template.as_str()), Some(template));
        }
        let notices = Template::NOTICES.map(Template::as_str);
        assert_eq!(
            notices,
            [
                "password_changed",
                "email_changed",
                "refresh_token_reused",
                "new_sign_in",
                "signed_up_again",
                "factor_enrolled",
                "factor_removed",
                "factors_reset",
                "recovery_code_used",
                "recovery_codes_renewed",
                "passkey_added",
                "passkey_removed",
                "passkey_cloned",
                "upstream_linked",
                "upstream_unlinked",
                "login_guessed"
            ]
        );
        assert_eq!((Purpose::parse("x"), Template::parse("x")), (None, None));
    }
}
