//! The ways in which the second step is proven again inside a session, each with a form of its own.

use crate::flows::account::two_factor::State;
use crate::http::pages::form::Form;
use crate::model::login::gate::Factors;

/// How the second step is proven again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By a code of the authenticator app.
    App,
    /// By a code that is sent to the mailbox.
    Mail,
    /// By a recovery code.
    Recovery,
    /// By another sign-in: inside this session there is no way.
    SignIn,
}

impl By {
    /// Returns the way of the form that was sent, or else the first one that the user has.
    pub(super) fn of(sent: &Form, state: &State, can_mail: bool) -> Self {
        let wanted = match sent.id() {
            "mailed" | "send" | "again" => Self::Mail,
            "recovery" => Self::Recovery,
            _ => Self::App,
        };
        // A recovery code that was refused is shown in its own form, even if it was the last one.
        if wanted == Self::Recovery && state.factors.contains(Factors::TOTP) {
            return wanted;
        }
        [wanted, Self::App, Self::Mail]
            .into_iter()
            .find(|by| by.is_there(state, can_mail))
            .unwrap_or(Self::SignIn)
    }

    fn is_there(self, state: &State, can_mail: bool) -> bool {
        let has_app = state.factors.contains(Factors::TOTP);
        match self {
            Self::App => has_app,
            Self::Mail => can_mail,
            Self::Recovery => has_app && state.codes_left > 0,
            Self::SignIn => false,
        }
    }

    /// Returns the paths of the other ways that the user has, each with the key of its text.
    pub(super) fn others(self, state: &State, can_mail: bool) -> Vec<(&'static str, &'static str)> {
        [
            (Self::App, "/auth/account/security", "challenge.to_code"),
            (
                Self::Mail,
                "/auth/account/security?with=email",
                "challenge.to_mail",
            ),
            (
                Self::Recovery,
                "/auth/account/security?with=recovery",
                "challenge.to_recovery",
            ),
        ]
        .into_iter()
        .filter(|(by, ..)| *by != self && by.is_there(state, can_mail))
        .map(|(_, path, key)| (path, key))
        .collect()
    }

    /// Lists the forms of this way; for a code by email, before and after it `is_sent`.
    pub(super) fn forms(self, is_sent: bool) -> &'static [&'static str] {
        match self {
            Self::App => &["step-up"],
            Self::Mail if is_sent => &["mailed", "again"],
            Self::Mail => &["send"],
            Self::Recovery => &["recovery"],
            Self::SignIn => &[],
        }
    }

    pub(super) fn is_mail(self) -> bool {
        self == Self::Mail
    }

    pub(super) fn is_recovery(self) -> bool {
        self == Self::Recovery
    }

    pub(super) fn is_app(self) -> bool {
        self == Self::App
    }
}
