//! Why a hash of other software cannot be taken.

/// The reason why a hash cannot be verified, so that its user comes without a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is not written as its format demands.
    #[error("the hash is malformed")]
    Malformed,
    /// No such kind of hash is known here.
    #[error("a hash of this kind is not supported")]
    Unknown,
    /// To verify it would cost more than is allowed.
    #[error("the hash costs too much to verify")]
    TooCostly,
    /// The other software says that the user has no password.
    #[error("the user has no password")]
    NoPassword,
    /// It cannot be read without options that are not given, such as the parameters of Firebase.
    #[error("the hash needs parameters that are not given")]
    Incomplete,
}

impl Unusable {
    /// Returns the word for reports, such as `too_costly`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::TooCostly => "too_costly",
            Self::NoPassword => "no_password",
            Self::Incomplete => "incomplete",
        }
    }
}
