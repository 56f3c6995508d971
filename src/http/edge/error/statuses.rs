//! Maps every error of a flow to its HTTP status; those of the edge itself have theirs in `mod.rs`.

use axum::http::StatusCode;

use crate::flows;

/// Returns the status of a flow's error, wherever it is answered.
pub(super) fn flow_status(error: &flows::Error) -> StatusCode {
    use flows::Error as E;
    match error {
        E::InvalidEmail
        | E::SignUpDisabled
        | E::PasswordTooShort
        | E::PasswordTooLong
        | E::PasswordTooCommon
        | E::PasswordCompromised
        | E::InvalidPassword
        | E::CredentialAccountNotFound
        | E::NoFieldsToUpdate
        | E::EmailTaken
        | E::NotImpersonating
        | E::CannotBanYourself
        | E::CannotDisableYourself
        | E::CannotRemoveYourself
        | E::NonExistentRole
        | E::NoDataToUpdate
        | E::PasswordViaUpdate
        | E::UserIdCannotBeUpdated
        | E::LastAdmin
        | E::EmailMismatch
        | E::EmailAlreadyVerified
        | E::EmailIsTheSame
        | E::MailTokenInvalid
        | E::MailTokenExpired
        | E::SessionExpired
        | E::ChangeEmailDisabled
        | E::ResetPasswordDisabled
        | E::VerificationEmailNotEnabled
        | E::EmailCanNotBeUpdated
        | E::RefreshAttemptMissing
        | E::TooManyAttempts
        | E::TotpNotEnabled
        | E::BackupCodesNotEnabled
        | E::TotpAlreadyEnabled
        | E::OtpNotConfigured
        | E::OtpHasExpired
        | E::EmailSignInDisabled
        | E::InvalidOtp
        | E::OtpExpired
        | E::OtpRequired
        | E::TwoFactorNotEnabled
        | E::ChallengeNotFound
        | E::FailedToVerifyRegistration
        | E::PreviouslyRegistered
        | E::PasskeyLimitReached
        | E::LastWayIn
        | E::AccountNotFound
        | E::FailedToUnlinkLastAccount
        | E::AccessTokenNotFound
        | E::RefreshTokenNotFound
        | E::FailedToGetAccessToken
        | E::FailedToRefreshAccessToken
        | E::ProviderNotSupported
        | E::UrlTooLong
        | E::InvalidTarget => StatusCode::BAD_REQUEST,
        E::InvalidEmailOrPassword
        | E::Unauthorized
        | E::InvalidTwoFactorCookie
        | E::InvalidCode
        | E::InvalidBackupCode
        | E::PasskeyNotFound
        | E::InvalidIdToken
        | E::UpstreamRefused(_)
        | E::LinkingDifferentEmails
        | E::LinkingNotAllowed
        | E::AuthenticationFailed
        | E::PasskeyCloned(_)
        | E::RefreshTokenMissing
        | E::RefreshTokenInvalid
        | E::RefreshTokenExpired
        | E::RefreshTokenRevoked
        | E::RefreshTokenReused => StatusCode::UNAUTHORIZED,
        E::BannedUser
        | E::UserDisabled
        | E::NewPasswordRequired
        | E::EmailNotVerified
        | E::EmailDomainNotAllowed
        | E::TooManyCodeTries
        | E::SessionNotFresh(_)
        | E::AdminNotFresh
        | E::InsufficientAuthentication
        | E::SameUserRequired
        | E::UpstreamUserNotAllowed
        | E::NotAllowed(_)
        | E::CannotImpersonateAdmins => StatusCode::FORBIDDEN,
        // As Better Auth answers a sign-up; an admin who creates a user, or a change of the email
        // address, gets 400 with the same code.
        E::UserExists => StatusCode::UNPROCESSABLE_ENTITY,
        E::TooManyRequests(_) | E::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
        E::SocialAccountAlreadyLinked => StatusCode::CONFLICT,
        E::UserNotFound
        | E::SessionNotFound
        | E::NoSuchPasskey
        | E::ProviderNotFound
        | E::IdTokenNotSupported
        | E::FailedToGetUserInfo => StatusCode::NOT_FOUND,
        // A replica without the current master key serves no requests, and raises no alarm of
        // reuse.
        E::RefreshUnderWay
        | E::KeysNotReady(_)
        | E::UpstreamUnavailable
        | E::Unavailable(_)
        | E::Busy
        | E::OutOfTime
        | E::MasterKeyChanged
        | E::KeyUnusable(_)
        | E::MasterKey(_)
        | E::MasterKeyNotLoaded { .. }
        | E::MasterKeyMissing { .. } => StatusCode::SERVICE_UNAVAILABLE,
        E::AlreadyRotated
        | E::KeyRefused(_)
        | E::ImportRefused(_)
        | E::WrongDatabase(_)
        | E::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
