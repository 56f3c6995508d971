//! Why a sign-in at another issuer led to nothing: the words that a browser is led back with. Several
//! are those of Better Auth; all are an interface.

/// The reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "docs/upstream.md describes each word")]
pub enum Refused {
    StateNotFound,
    StateMismatch,
    NoCode,
    InvalidCode,
    IssuerMismatch,
    UnableToGetUserInfo,
    EmailNotFound,
    AccountNotLinked,
    SignUpDisabled,
    DomainNotAllowed,
    UnableToLinkAccount,
    EmailDoesNotMatch,
    LinkedToDifferentUser,
    NotAllowed,
    UpstreamUnavailable,
    UpstreamError,
    AccessDenied,
    LoginRequired,
    ConsentRequired,
    InteractionRequired,
    AccountSelectionRequired,
    TemporarilyUnavailable,
    ServerError,
    InvalidScope,
    InvalidRequest,
    UnauthorizedClient,
    UnsupportedResponseType,
    Banned,
    UserDisabled,
    EmailNotVerified,
    InsufficientAuthentication,
    TooManyRequests,
}

impl Refused {
    /// Lists all reasons of a refusal.
    pub const ALL: [Self; 32] = [
        Self::StateNotFound,
        Self::StateMismatch,
        Self::NoCode,
        Self::InvalidCode,
        Self::IssuerMismatch,
        Self::UnableToGetUserInfo,
        Self::EmailNotFound,
        Self::AccountNotLinked,
        Self::SignUpDisabled,
        Self::DomainNotAllowed,
        Self::UnableToLinkAccount,
        Self::EmailDoesNotMatch,
        Self::LinkedToDifferentUser,
        Self::NotAllowed,
        Self::UpstreamUnavailable,
        Self::UpstreamError,
        Self::AccessDenied,
        Self::LoginRequired,
        Self::ConsentRequired,
        Self::InteractionRequired,
        Self::AccountSelectionRequired,
        Self::TemporarilyUnavailable,
        Self::ServerError,
        Self::InvalidScope,
        Self::InvalidRequest,
        Self::UnauthorizedClient,
        Self::UnsupportedResponseType,
        Self::Banned,
        Self::UserDisabled,
        Self::EmailNotVerified,
        Self::InsufficientAuthentication,
        Self::TooManyRequests,
    ];

    /// Returns the word of the redirect.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StateNotFound => "state_not_found",
            Self::StateMismatch => "state_mismatch",
            Self::NoCode => "no_code",
            Self::InvalidCode => "invalid_code",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::UnableToGetUserInfo => "unable_to_get_user_info",
            Self::EmailNotFound => "email_not_found",
            Self::AccountNotLinked => "account_not_linked",
            Self::SignUpDisabled => "signup_disabled",
            Self::DomainNotAllowed => "domain_not_allowed",
            Self::UnableToLinkAccount => "unable_to_link_account",
            Self::EmailDoesNotMatch => "email_does_not_match",
            Self::LinkedToDifferentUser => "account_already_linked_to_different_user",
            Self::NotAllowed => "not_allowed",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamError => "upstream_error",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::InteractionRequired => "interaction_required",
            Self::AccountSelectionRequired => "account_selection_required",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::Banned => "banned",
            Self::UserDisabled => "user_disabled",
            Self::EmailNotVerified => "email_not_verified",
            Self::InsufficientAuthentication => "insufficient_user_authentication",
            Self::TooManyRequests => "too_many_requests",
        }
    }

    /// Reads the `error` that an issuer led the browser back with: one of the registered words (RFC 6749
    /// section 4.1.2.1, OpenID Connect Core section 3.1.2.6) is kept, any other is
    /// [`Self::UpstreamError`].
    pub fn of_issuer(error: &str) -> Self {
        const REGISTERED: [Refused; 11] = [
            Refused::AccessDenied,
            Refused::LoginRequired,
            Refused::ConsentRequired,
            Refused::InteractionRequired,
            Refused::AccountSelectionRequired,
            Refused::TemporarilyUnavailable,
            Refused::ServerError,
            Refused::InvalidScope,
            Refused::InvalidRequest,
            Refused::UnauthorizedClient,
            Refused::UnsupportedResponseType,
        ];
        REGISTERED
            .into_iter()
            .find(|word| word.as_str() == error)
            .unwrap_or(Self::UpstreamError)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn of_an_issuers_words_only_registered_ones_are_repeated() {
        assert_eq!(Refused::of_issuer("access_denied"), Refused::AccessDenied);
        assert_eq!(
            Refused::of_issuer("consent_required"),
            Refused::ConsentRequired
        );
        for other in [
            "",
            "banned",
            "state_mismatch",
            "ACCESS_DENIED",
            "<script>",
            "account_not_linked",
        ] {
            assert_eq!(Refused::of_issuer(other), Refused::UpstreamError, "{other}");
        }
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: BTreeSet<&str> = Refused::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Refused::ALL.len());
    }
}
