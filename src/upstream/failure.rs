//! Why a provider's word was not taken.

/// The word of RFC 6749 for a code or a refresh token that is not good, or no longer.
pub(super) const INVALID_GRANT: &str = "invalid_grant";

/// Why there is no identity, or why its tokens could not be renewed. The texts are for the log and name nothing that the provider or the
/// browser has sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The provider did not answer in time, or not as it should.
    #[error("the provider cannot be used: {0}")]
    Unavailable(String),
    /// `iss` names another issuer (RFC 9207).
    #[error("the answer names another issuer")]
    IssuerMismatch,
    /// The provider refused the code.
    #[error("the provider refused the code: {0}")]
    InvalidCode(String),
    /// The provider refused the refresh token.
    #[error("the provider refused the refresh token: {0}")]
    RefreshRefused(&'static str),
    /// What the provider says of the user cannot be trusted, or is not enough.
    #[error("nothing reliable is known of the user: {0}")]
    NoUserInfo(String),
    /// The settings do not admit this user of the provider (domain, tenant, organisation).
    #[error("the settings do not admit this user of the provider: {0}")]
    NotAllowed(String),
    /// The id token that a client brought is not good.
    #[error("the id token is not good: {0}")]
    InvalidIdToken(String),
    /// The provider issues no id tokens.
    #[error("the provider issues no id tokens")]
    IdTokenNotSupported,
}

impl Failure {
    /// Returns whether the provider has said that the refresh token is good no more.
    pub fn ends_refresh_token(&self) -> bool {
        *self == Self::RefreshRefused(INVALID_GRANT)
    }
}
