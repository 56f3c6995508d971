//! The ways in which a signed-in user proves again that it is them, each with a form of its own.

use crate::http::pages::form::Form;
use crate::model::login::gate::Steps;

/// A way to prove it, each with a form of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Password,
    App,
    Mailed,
    Recovery,
}

impl Way {
    /// Lists the ways in the order in which they are offered.
    pub(super) const ALL: [Self; 4] = [Self::App, Self::Mailed, Self::Password, Self::Recovery];

    pub(super) fn step(self) -> Steps {
        match self {
            Self::Password => Steps::PASSWORD,
            Self::App => Steps::TOTP,
            Self::Mailed => Steps::MAILED_CODE,
            Self::Recovery => Steps::RECOVERY_CODE,
        }
    }

    /// Returns the value of `with` in the query of the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::App => "app",
            Self::Mailed => "email",
            Self::Recovery => "recovery",
        }
    }

    /// Returns the key of the text of a link to the form.
    pub(super) fn link(self) -> &'static str {
        match self {
            Self::Password => "step_up.to_password",
            Self::App => "challenge.to_code",
            Self::Mailed => "challenge.to_mail",
            Self::Recovery => "challenge.to_recovery",
        }
    }

    pub(super) fn form(self) -> Form {
        Form::new(match self {
            Self::Password => "prove-password",
            Self::App => "challenge",
            Self::Mailed => "mailed",
            Self::Recovery => "recovery",
        })
    }

    /// Returns the first way that leads further, `wanted` before the others.
    pub(super) fn of(wanted: Option<Self>, steps: Steps) -> Option<Self> {
        wanted
            .into_iter()
            .chain(Self::ALL)
            .find(|way| steps.intersects(way.step()))
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
