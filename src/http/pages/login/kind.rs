//! The kinds of code that finish a sign-in, and the password, each with a page and a form of its own.

use crate::flows::login::second_step::Code;
use crate::http::edge::unchecked::Unchecked;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
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
    /// The password, where the sign-in began with a passkey.
    Password,
    /// A code that is sent to the mailbox.
    Mailed,
    /// A recovery code.
    Recovery,
}

impl Kind {
    /// Lists the kinds in the order in which they are offered.
    pub(super) const ALL: [Self; 4] = [Self::App, Self::Password, Self::Mailed, Self::Recovery];

    /// Returns what the gate calls it.
    pub(super) fn step(self) -> Steps {
        match self {
            Self::App => Steps::TOTP,
            Self::Password => Steps::PASSWORD,
            Self::Mailed => Steps::MAILED_CODE.union(Steps::MAILBOX),
            Self::Recovery => Steps::RECOVERY_CODE,
        }
    }

    /// Returns the path of the page.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::App => "/auth/challenge",
            Self::Password => "/auth/challenge?with=password",
            Self::Mailed => "/auth/challenge?with=email",
            Self::Recovery => "/auth/challenge?with=recovery",
        }
    }

    /// Returns the key of the text of a link to the page.
    pub(super) fn link(self) -> &'static str {
        match self {
            Self::App => "challenge.to_code",
            Self::Password => "step_up.to_password",
            Self::Mailed => "challenge.to_mail",
            Self::Recovery => "challenge.to_recovery",
        }
    }

    /// Returns the empty form for the code.
    pub(super) fn form(self) -> Form {
        Form::new(match self {
            Self::App => "challenge",
            Self::Password => "prove-password",
            Self::Mailed => "mailed",
            Self::Recovery => "recovery",
        })
    }

    /// Returns the kinds of code that lead further, in the order in which they are offered.
    pub(super) fn among(steps: Steps) -> impl Iterator<Item = Self> {
        let leads = move |kind: &Self| steps.intersects(kind.step());
        Self::ALL.into_iter().filter(leads)
    }

    /// Checks what was typed, as far as the form can.
    pub(super) fn check(self, form: &mut Form, page: &Page, text: String) -> Unchecked<String> {
        match self {
            Self::App => form.six_digits(page, "code", &text),
            Self::Password => form.required(page, "current", text),
            Self::Mailed => form.six_digits(page, "mailed", &text),
            Self::Recovery => form.required(page, "recovery", text),
        }
    }

    /// Returns the code that the form has sent.
    pub(super) fn code(self, text: &str) -> Code<'_> {
        match self {
            Self::App => Code::Totp(text),
            Self::Password => Code::Password(text),
            Self::Mailed => Code::Mailed(text),
            Self::Recovery => Code::Recovery(text),
        }
    }

    pub(super) fn is_password(self) -> bool {
        self == Self::Password
    }

    pub(super) fn is_mailed(self) -> bool {
        self == Self::Mailed
    }

    pub(super) fn is_recovery(self) -> bool {
        self == Self::Recovery
    }
}
