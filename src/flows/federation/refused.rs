//! Says why a browser comes back from an issuer with nothing, in the words of
//! `model::federation::refused`, and keeps the causes in the log.

pub use crate::model::federation::refused::Refused;

use crate::config::upstream::Provider;
use crate::crypto::upstream_state::Urls;
use crate::flows::Error;
use crate::upstream::Failure;

/// A sign-in at an issuer that led to nothing.
#[derive(Debug)]
pub struct Failed {
    /// Why it led to nothing.
    pub why: Refused,
    /// Where the browser is led; the default page if it has no state of ours.
    pub urls: Urls,
}

impl Failed {
    /// Says it of a browser without a state of this service.
    pub(super) fn without_state(why: Refused) -> Self {
        Self {
            why,
            urls: Urls::default(),
        }
    }
}

/// Says why an issuer's word was not taken, and logs the cause.
pub(super) fn of_failure(provider: &Provider, failure: &Failure) -> Refused {
    let why = match failure {
        Failure::Unavailable(_) => Refused::UpstreamUnavailable,
        Failure::IssuerMismatch => Refused::IssuerMismatch,
        Failure::InvalidCode(_) => Refused::InvalidCode,
        Failure::NotAllowed(_) => Refused::NotAllowed,
        Failure::NoUserInfo(_)
        | Failure::InvalidIdToken(_)
        | Failure::IdTokenNotSupported
        | Failure::RefreshRefused(_) => Refused::UnableToGetUserInfo,
    };
    tracing::warn!(provider = %provider.id, %failure, "a sign-in at another issuer failed");
    why
}

/// Says why nothing can be begun at an issuer.
pub(super) fn unusable(provider: &Provider, failure: &Failure) -> Error {
    tracing::warn!(provider = %provider.id, %failure, "a sign-in at another issuer cannot begin");
    match failure {
        Failure::IdTokenNotSupported => Error::IdTokenNotSupported,
        Failure::InvalidIdToken(_) | Failure::NoUserInfo(_) => Error::InvalidIdToken,
        Failure::NotAllowed(_) => Error::UpstreamUserNotAllowed,
        Failure::Unavailable(_)
        | Failure::IssuerMismatch
        | Failure::InvalidCode(_)
        | Failure::RefreshRefused(_) => Error::UpstreamUnavailable,
    }
}

/// Says why no session began. A fault of this service is logged; the browser learns no more than that
/// it may try again.
pub(super) fn of_error(error: &Error) -> Refused {
    match error {
        Error::UpstreamRefused(why) => *why,
        Error::BannedUser => Refused::Banned,
        Error::UserDisabled => Refused::UserDisabled,
        Error::EmailNotVerified => Refused::EmailNotVerified,
        Error::InsufficientAuthentication => Refused::InsufficientAuthentication,
        Error::TooManyRequests(_) | Error::Limited(_) => Refused::TooManyRequests,
        Error::SocialAccountAlreadyLinked => Refused::LinkedToDifferentUser,
        error => {
            tracing::error!(%error, "a sign-in at another issuer was not finished");
            Refused::ServerError
        }
    }
}
