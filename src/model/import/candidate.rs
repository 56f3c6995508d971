//! A user of other software, as one row of a file describes it, after every field was checked.

use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::reason::{Note, Place};
use crate::model::account::email::Email;
use crate::model::account::profile::{BanReason, DisplayName, ImageUrl};
use crate::model::federation::provider::ProviderId;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;

/// How the source writes a password hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashSpelling {
    /// The text that `accounts.password_hash` has, or a PHC string.
    Tagged,
    /// Django's `algorithm$…`.
    Django,
    /// Werkzeug's `method:…$salt$hash`.
    Werkzeug,
    /// bcrypt over the password and, after it, a pepper.
    Devise,
    /// JSON with `hash` and `salt`; the parameters are those of the project.
    Firebase,
    /// JSON with `secretData` and `credentialData`.
    Keycloak,
}

/// The password hash of a user in the source's own spelling. Its `Debug` output has no hash.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceHash {
    /// How the text is written.
    pub spelling: HashSpelling,
    /// The hash with its parameters.
    pub text: Zeroizing<String>,
}

impl SourceHash {
    /// Makes the hash of a text; an empty text is none.
    pub fn unless_empty(spelling: HashSpelling, text: String) -> Option<Self> {
        let text = Zeroizing::new(text);
        (!text.is_empty()).then_some(Self { spelling, text })
    }
}

impl fmt::Debug for SourceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceHash({:?}, …)", self.spelling)
    }
}

/// An account of the user at a provider of identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAccount {
    /// The provider of the settings.
    pub provider: ProviderId,
    /// The user at the provider.
    pub subject: String,
}

/// That the source has banned the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceBan {
    /// Why; may be empty.
    pub reason: BanReason,
    /// When the ban ends; `None` for a ban without end.
    pub ends_at: Option<Timestamp>,
}

/// A user of other software.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Where the row stands.
    pub place: Place,
    /// The id in the source; the email address where the source has no ids.
    pub foreign_id: String,
    /// The id that the user keeps; `None` if the source has none, or one of another form.
    pub kept_id: Option<UserId>,
    /// Email address in canonical form.
    pub email: Email,
    /// Whether the source says that the user has verified it.
    pub email_verified: bool,
    /// Display name; may be empty.
    pub name: DisplayName,
    /// URL of a picture.
    pub image: Option<ImageUrl>,
    /// The roles that the source gives, by its own names.
    pub roles: Vec<String>,
    /// What only admins of the source write.
    pub metadata: Map<String, Value>,
    /// Whether the source has banned the user.
    pub ban: Option<SourceBan>,
    /// Whether the source has disabled the user.
    pub disabled: bool,
    /// When the account was created there.
    pub created_at: Option<Timestamp>,
    /// The password hash; `None` for a user without a password.
    pub hash: Option<SourceHash>,
    /// The accounts at providers of identities.
    pub accounts: Vec<SourceAccount>,
    /// Whether the source asks the user for a second factor.
    pub second_factor: bool,
    /// What of the row was left behind while it was read.
    pub notes: Vec<Note>,
}
