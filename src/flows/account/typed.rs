//! What a visitor has typed into a form of the pages, kept in a signed cookie until the next page:
//! the email address on the way from one form to another, and the form of an account page whose
//! session ended before it was sent. A password is never kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::crypto;
use crate::crypto::cookie::Purpose;
use crate::flows::session::credential::{open, sign};

/// How long a browser keeps the cookie.
pub const LIFETIME: Duration = Duration::from_mins(10);

/// The longest value that is kept, in bytes; all headers of an answer stay within 4 KiB.
const LONGEST: usize = 1_536;

/// The kept fields; an empty text is a field that was not typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Typed {
    /// The email address of a form for visitors who are not signed in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// The id of the user whose account page the other two fields were typed into.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The new name of that user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The new email address of that user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub new_email: String,
}

impl Typed {
    /// Returns whether there is a form of an account page to show again.
    pub fn has_account_form(&self) -> bool {
        let is_typed = !self.name.is_empty() || !self.new_email.is_empty();
        is_typed && !self.user.is_empty()
    }

    /// Returns the value of the cookie; `None` if it would be too long, or until the keys are
    /// loaded.
    pub fn sealed(&self, app: &App) -> Option<String> {
        let json = serde_json::to_vec(self).ok()?;
        let value = crypto::encode(&json);
        sign(app, Purpose::Typed, &value).filter(|value| value.len() <= LONGEST)
    }

    /// Reads the value of the cookie; `None` if this service did not write it.
    pub fn opened(app: &App, signed: &str) -> Option<Self> {
        let value = open(app, Purpose::Typed, signed)?;
        serde_json::from_slice(&crypto::decode(&value)?).ok()
    }
}
