//! Codes of six digits that are sent to a mailbox, and how many guesses each of them stands.

use crate::model::account::email::Email;
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;

/// How many codes the browser or the app that asked may try.
pub const TRIES_OF_ASKER: i64 = 5;

/// How many codes all others together may try; they do not use up the tries of the one that asked.
pub const TRIES_OF_OTHERS: i64 = 3;

/// What a code is for. A code for one purpose is refused for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodePurpose {
    /// Sign in, or sign up with a new email address.
    SignIn,
    /// Prove the mailbox of an account.
    VerifyEmail,
    /// Choose a new password.
    ResetPassword,
    /// Prove the mailbox of a new email address of the account.
    ChangeEmail,
    /// The second step of a sign-in, or of a live session.
    SecondStep,
}

impl CodePurpose {
    /// Lists every purpose of a code.
    pub const ALL: [Self; 5] = [
        Self::SignIn,
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::ChangeEmail,
        Self::SecondStep,
    ];

    /// Returns the text that is stored, which is also the name of the mail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::VerifyEmail => "verify_code",
            Self::ResetPassword => "reset_code",
            Self::ChangeEmail => "change_code",
            Self::SecondStep => "second_step",
        }
    }

    /// Parses the stored text; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|found| found.as_str() == text)
    }
}

/// The row of a code. The code itself is computed from it and stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailCode {
    /// Id of the row.
    pub id: EventId,
    /// What the code is for.
    pub purpose: CodePurpose,
    /// The email address that it is sent to.
    pub email: Email,
    /// The user who asked in a session or after a first proof; `None` if the email address alone
    /// was given.
    pub user: Option<UserId>,
    /// The pending sign-in whose second step it is.
    pub challenge: Option<EventId>,
    /// Hash of the secret that the browser or the app holds which asked.
    pub binding: Option<[u8; 32]>,
    /// The version of the master key that the code is computed with.
    pub key_version: u8,
    /// Whether the mail has a link, too.
    pub has_link: bool,
    /// The display name of a new user.
    pub name: Option<String>,
    /// The `User-Agent` of the request.
    pub user_agent: String,
    /// The known device that asked, by which its mails are counted.
    pub device: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// End of validity, exclusive.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_has_a_text_of_its_own() {
        for purpose in CodePurpose::ALL {
            assert_eq!(CodePurpose::parse(purpose.as_str()), Some(purpose));
        }
        assert_eq!(CodePurpose::parse("totp"), None);
    }
}
