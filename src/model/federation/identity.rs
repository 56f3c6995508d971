//! What another issuer says of a user.

use super::provider::ProviderId;
use crate::model::account::email::Email;
use crate::model::account::profile::{DisplayName, ImageUrl};

/// How much the word of an issuer about a mailbox counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EmailWord {
    /// The issuer names the mailbox and does not say that it verified it.
    Claimed,
    /// The issuer says that it verified the mailbox once. The mailbox may have another owner by now.
    Verified,
    /// The issuer is responsible for the domain of the mailbox, or the settings take its word.
    Proven,
}

impl EmailWord {
    /// Lists all words, the weakest first.
    pub const ALL: [Self; 3] = [Self::Claimed, Self::Verified, Self::Proven];
}

/// A mailbox that an issuer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The email address in canonical form.
    pub email: Email,
    /// How much the word of the issuer counts.
    pub word: EmailWord,
}

/// One identity at one provider, as it was verified just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider of the settings.
    pub provider: ProviderId,
    /// The issuer: an identity of another issuer under the same provider id is another one.
    pub issuer: String,
    /// The user at the issuer, 1 to 255 characters. It never changes and is never given to another
    /// user.
    pub subject: String,
    /// The session at the issuer (`sid`), by which the issuer can end those that it opens here.
    pub session: Option<String>,
    /// The mailbox, if the issuer names one.
    pub mailbox: Option<Mailbox>,
    /// The name of the user; may be empty.
    pub name: DisplayName,
    /// An https URL of a picture.
    pub image: Option<ImageUrl>,
    /// Whether the issuer says that it checked several factors, and the settings trust it.
    pub has_factors: bool,
    /// The scopes that were granted.
    pub scopes: Vec<String>,
}
