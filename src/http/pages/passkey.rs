//! What the script of passkeys reads from a page: buttons that sign in with a passkey, prove again
//! who is there, or add a passkey; and what it does by itself after a sign-in. The script calls the
//! API, which checks everything; without script the buttons are not shown.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::App;
use crate::model::login::proof::Proof;

use super::page::Page;
use super::paths::with_next;

/// For how long after a password a browser may make a passkey without asking. The service wants a
/// fresh proof, whatever the page says.
const AFTER_A_PASSWORD: Duration = Duration::from_secs(5 * 60);

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Begins a sign-in, whatever this browser has begun before.
    SignIn,
    /// Proves who is there: for a sign-in that waits for it, or in the live session.
    Prove,
    /// Adds a passkey: in a sign-in that waits for it, or in the live session.
    Add,
}

impl Way {
    /// Returns the word of the script.
    fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Prove => "authenticate",
            Self::Add => "register",
        }
    }
}

/// A button of a page. Its URLs are as a browser sees them.
#[derive(Debug)]
pub(super) struct Button {
    way: Way,
    /// The key of its text.
    key: &'static str,
    /// Whether it is the purpose of its page.
    is_main: bool,
    next: String,
    challenge: String,
    again: String,
    name: String,
}

impl Button {
    /// Makes a button that leads to a path of this service or a URL in the end, as
    /// [`super::visitor::see_other`] would.
    pub(super) fn new(app: &App, way: Way, key: &'static str, leads_to: &str) -> Self {
        Self {
            way,
            key,
            is_main: false,
            next: outside(app, leads_to),
            challenge: String::new(),
            again: String::new(),
            name: String::new(),
        }
    }

    /// Adds the page for a further step, which carries the redirect target of the sign-in.
    pub(super) fn with_steps(self, app: &App, next: &str) -> Self {
        let challenge = outside(app, &with_next("/auth/challenge", next));
        Self { challenge, ..self }
    }

    /// Adds the page on which the user proves again who is there.
    pub(super) fn with_step_up(self, app: &App, page: &str) -> Self {
        let again = outside(app, page);
        Self { again, ..self }
    }

    /// Calls a new passkey by the device of the visitor.
    pub(super) fn named(self, page: &Page) -> Self {
        let name = page.device.clone();
        Self { name, ..self }
    }

    /// Makes it the main button of its page.
    pub(super) fn main(self, is_main: bool) -> Self {
        Self { is_main, ..self }
    }
}

fn outside(app: &App, path: &str) -> String {
    app.config.server.mount.outside(path).into_owned()
}

/// Methods for the templates.
impl Button {
    pub(super) fn way(&self) -> &'static str {
        self.way.word()
    }

    pub(super) fn key(&self) -> &'static str {
        self.key
    }

    pub(super) fn is_main(&self) -> bool {
        self.is_main
    }

    pub(super) fn next(&self) -> &str {
        &self.next
    }

    pub(super) fn challenge(&self) -> &str {
        &self.challenge
    }

    pub(super) fn again(&self) -> &str {
        &self.again
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Methods for the templates.
impl Page {
    /// Returns the path of the API as a browser sees it.
    pub(super) fn api(&self) -> String {
        self.app.config.server.mount.api()
    }

    /// Returns what tells the session of the user from others of this tab; empty while an admin acts
    /// as the user.
    pub(super) fn since(&self) -> String {
        self.own_session()
            .map_or_else(String::new, |session| session.created_at.0.to_string())
    }

    /// Returns whether the browser may make a passkey for the next sign-in without asking.
    pub(super) fn may_make_passkey(&self) -> bool {
        let proven = self
            .own_session()
            .and_then(|session| session.proofs.at(Proof::Password));
        proven.is_some_and(|at| self.app.now().since(at) < AFTER_A_PASSWORD)
    }

    /// Returns what the script says of a refusal, as a JSON object: by error codes of the API and by
    /// names of the errors of a browser.
    pub(super) fn passkey_texts(&self) -> String {
        const CODES: [&str; 16] = [
            "PASSKEY_NOT_FOUND",
            "AUTHENTICATION_FAILED",
            "CHALLENGE_NOT_FOUND",
            "FAILED_TO_VERIFY_REGISTRATION",
            "PREVIOUSLY_REGISTERED",
            "PASSKEY_LIMIT_REACHED",
            "SAME_USER_REQUIRED",
            "SESSION_NOT_FRESH",
            "INVALID_TWO_FACTOR_COOKIE",
            "INSUFFICIENT_USER_AUTHENTICATION",
            "EMAIL_NOT_VERIFIED",
            "BANNED_USER",
            "USER_DISABLED",
            "NEW_PASSWORD_REQUIRED",
            "TOO_MANY_REQUESTS",
            "SERVICE_UNAVAILABLE",
        ];
        let mut texts = json!({
            "NotAllowedError": self.t("passkey.cancelled"),
            "AbortError": self.t("passkey.cancelled"),
            "InvalidStateError": self.t("error.PREVIOUSLY_REGISTERED"),
            // `fetch` had no answer.
            "TypeError": self.t("error.SERVICE_UNAVAILABLE"),
            "UNAUTHORIZED": self.t("done.ended"),
            "other": self.t("passkey.failed"),
            "again": self.t("to_step_up"),
        });
        for code in CODES {
            texts[code] = self.meaning(code).map_or(Value::Null, Value::from);
        }
        texts.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Way;

    #[test]
    fn each_way_has_a_word_of_its_own() {
        let words = [Way::SignIn, Way::Prove, Way::Add].map(Way::word);
        let script = include_str!("../../../templates/pages/passkey.js");
        for word in words {
            assert_eq!(words.iter().filter(|each| **each == word).count(), 1);
            assert!(script.contains(word), "{word}");
        }
    }
}
