//! Which form of a text was hashed, and how a hash is made anew once its password is known.

use zeroize::Zeroizing;

use crate::model::account::password::Password;

/// A form of the text of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it was typed.
    Typed,
    /// In NFKC, as Better Auth hashes it.
    Compatible,
    /// In NFC, as this service hashes it.
    Normal,
}

impl Form {
    /// Returns the password in this form.
    pub fn of(self, password: &Password) -> Zeroizing<String> {
        match self {
            Self::Typed => Zeroizing::new(password.typed().to_owned()),
            Self::Compatible => password.compatible(),
            Self::Normal => Zeroizing::new(password.text().to_owned()),
        }
    }
}

/// Whether the hash of a right password is to be replaced, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The stored hash is as the settings ask.
    None,
    /// By the hash of the whole password.
    Whole,
    /// By the hash of its first 72 bytes in this form: bcrypt never looked at what follows them.
    Cut(Form),
}
