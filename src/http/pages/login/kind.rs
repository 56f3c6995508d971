//! The kinds of code that finish a sign-in, each with a page and a form of its own.

use crate::http::pages::form::Form;
use crate::model::login::gate::Steps;

/// What a passkey answers.
pub(super) const BY_PASSKEY: Steps = Steps::PASSKEY.union(Steps::VERIFIED_PASSKEY);

/// What sets a first factor up.
pub(super) const TO_ENROL: Steps = Steps::ENROL_TOTP.union(Steps::ENROL_PASSKEY);

/// The kinds of code, each with a page of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A code of the authenticator app.
    App,
    /// A code that is sent to the mailbox.
    Mailed,
    /// A recovery code.
    Recovery,
}

impl Kind {
    /// Lists the kinds in the order in which they are offered.
    pub(super) const ALL: [Self; 3] = [Self::App, Self::Mailed, Self::Recovery];

    /// Returns what the gate calls it.
    pub(super) fn step(self) -> Steps {
        match self {
            Self::App => Steps::TOTP,
            Self::Mailed => Steps::MAILED_CODE.union(Steps::MAILBOX),
            Self::Recovery => Steps::RECOVERY_CODE,
        }
    }

    /// Returns the path of the page.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::App => "/auth/challenge",
            Self::Mailed => "/auth/challenge?with=email",
            Self::Recovery => "/auth/challenge?with=recovery",
        }
    }

    /// Returns the key of the text of a link to the page.
    pub(super) fn link(self) -> &'static str {
        match self {
            Self::App => "challenge.to_code",
            Self::Mailed => "challenge.to_mail",
            Self::Recovery => "challenge.to_recovery",
        }
    }

    /// Returns the empty form for the code.
    pub(super) fn form(self) -> Form {
        Form::new(match self {
            Self::App => "challenge",
            Self::Mailed => "mailed",
            Self::Recovery => "recovery",
        })
    }

    /// Returns the kinds of code that lead further, in the order in which they are offered.
    pub(super) fn among(steps: Steps) -> impl Iterator<Item = Self> {
        let leads = move |kind: &Self| steps.intersects(kind.step());
        Self::ALL.into_iter().filter(leads)
    }

    pub(super) fn is_mailed(self) -> bool {
        self == Self::Mailed
    }

    pub(super) fn is_recovery(self) -> bool {
        self == Self::Recovery
    }
}
