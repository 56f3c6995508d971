//! The errors of flows. Their codes are an interface: `docs/errors.md` lists them, and a test
//! compares the list with this file. `http/edge/error/statuses.rs` maps them to HTTP statuses.

mod causes;

use std::time::Duration;

pub(in crate::flows) use causes::if_conflict;

use crate::crypto::master_key;
use crate::model::account::action::Action;
use crate::model::federation::refused::Refused;
use crate::model::kernel::id::EventId;
use crate::model::key::plan;

use crate::model::limit::rate::Limited;

/// Result with the error of flows.
pub type Result<T> = std::result::Result<T, Error>;

/// Every reason for which a flow refuses or fails.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Error {
    #[error("Invalid email or password")]
    InvalidEmailOrPassword,
    #[error("Invalid email")]
    InvalidEmail,
    #[error("User already exists. Use another email.")]
    UserExists,
    #[error("Email and password sign up is not enabled")]
    SignUpDisabled,
    #[error("Password too short")]
    PasswordTooShort,
    #[error("Password too long")]
    PasswordTooLong,
    #[error("This password is too easy to guess. Please choose a different password.")]
    PasswordTooCommon,
    #[error("The password you entered has been compromised. Please choose a different password.")]
    PasswordCompromised,
    #[error(
        "You have been banned from this application. Please contact support if you believe this is an error."
    )]
    BannedUser,
    #[error("This account is disabled")]
    UserDisabled,
    #[error("A new password is required. Use the link for forgotten passwords to set one.")]
    NewPasswordRequired,
    #[error("Unauthorized")]
    Unauthorized,
    #[error("Invalid password")]
    InvalidPassword,
    #[error("Credential account not found")]
    CredentialAccountNotFound,
    #[error("No fields to update")]
    NoFieldsToUpdate,
    #[error("Email can not be updated")]
    EmailCanNotBeUpdated,
    #[error("A refresh token is required")]
    RefreshTokenMissing,
    #[error(
        "This session refreshes with tickets: send attempt, 16 random bytes as 22 characters of base64url"
    )]
    RefreshAttemptMissing,
    #[error("A refresh of this session may be under way; refresh, and try again")]
    RefreshUnderWay,
    #[error("The requested audience is not available")]
    InvalidTarget,
    /// The first key of an algorithm has not been published for long enough; it is after this time.
    #[error("Tokens for this audience are not available yet. Please try again later.")]
    KeysNotReady(Duration),
    #[error("The refresh token is not valid")]
    RefreshTokenInvalid,
    #[error("The session has expired")]
    RefreshTokenExpired,
    #[error("The session was ended")]
    RefreshTokenRevoked,
    #[error("The refresh token was used before; the session was ended")]
    RefreshTokenReused,
    #[error("Too many requests. Please try again later.")]
    TooManyRequests(Duration),
    #[error("Too many requests. Please try again later.")]
    Limited(Limited),
    #[error("User not found")]
    UserNotFound,
    #[error("There is no such session")]
    SessionNotFound,
    #[error("User already exists. Use another email.")]
    EmailTaken,
    #[error("You are not allowed to do this")]
    NotAllowed(Action),
    #[error("You cannot impersonate admins")]
    CannotImpersonateAdmins,
    #[error("You are not impersonating anyone")]
    NotImpersonating,
    #[error("You cannot ban yourself")]
    CannotBanYourself,
    #[error("You cannot disable yourself")]
    CannotDisableYourself,
    #[error("You cannot remove yourself")]
    CannotRemoveYourself,
    #[error("You are not allowed to set a non-existent role value")]
    NonExistentRole,
    #[error("No data to update")]
    NoDataToUpdate,
    #[error(
        "Password cannot be updated through update-user. Use the set-user-password endpoint instead"
    )]
    PasswordViaUpdate,
    #[error("User id cannot be updated")]
    UserIdCannotBeUpdated,
    #[error("At least one admin must remain")]
    LastAdmin,
    #[error("Email addresses of this domain cannot be used here")]
    EmailDomainNotAllowed,
    /// The own session was proven too long ago; the greatest age that would do.
    #[error("Session is not fresh")]
    SessionNotFresh(Duration),
    /// An admin acts as a user, and the admin's own session was proven too long ago. The user has proven
    /// nothing, so no step-up in this session helps.
    #[error("The session of the admin is not fresh")]
    AdminNotFresh,
    #[error("A second factor is required")]
    InsufficientAuthentication,
    #[error("Invalid two factor cookie")]
    InvalidTwoFactorCookie,
    #[error("Invalid code")]
    InvalidCode,
    #[error("Invalid backup code")]
    InvalidBackupCode,
    #[error("Backup codes aren't enabled")]
    BackupCodesNotEnabled,
    #[error("Too many attempts. Please request a new code.")]
    TooManyAttempts,
    #[error("TOTP not enabled")]
    TotpNotEnabled,
    #[error("TOTP is already enabled")]
    TotpAlreadyEnabled,
    #[error("OTP is not available")]
    OtpNotConfigured,
    #[error("OTP has expired")]
    OtpHasExpired,
    #[error("Sign in by email isn't enabled")]
    EmailSignInDisabled,
    #[error("Invalid OTP")]
    InvalidOtp,
    #[error("OTP expired")]
    OtpExpired,
    #[error("Too many attempts")]
    TooManyCodeTries,
    #[error("OTP is required to verify current email")]
    OtpRequired,
    #[error("Two factor isn't enabled")]
    TwoFactorNotEnabled,
    #[error("Challenge not found")]
    ChallengeNotFound,
    #[error("Failed to verify registration")]
    FailedToVerifyRegistration,
    #[error("Previously registered")]
    PreviouslyRegistered,
    #[error("Passkey not found")]
    PasskeyNotFound,
    /// There is no such passkey among those of the user.
    #[error("Passkey not found")]
    NoSuchPasskey,
    #[error("Authentication failed")]
    AuthenticationFailed,
    /// The passkey has a copy: its count of signatures has not risen.
    #[error("Authentication failed")]
    PasskeyCloned(EventId),
    #[error("The passkey is one of another user")]
    SameUserRequired,
    #[error("No more passkeys can be added")]
    PasskeyLimitReached,
    #[error("The last way to sign in cannot be removed")]
    LastWayIn,
    #[error("Provider not found")]
    ProviderNotFound,
    #[error("id_token not supported")]
    IdTokenNotSupported,
    /// The id token that a client brought is not good, or was used before.
    #[error("Invalid token")]
    InvalidIdToken,
    #[error("The provider cannot be reached. Please try again later.")]
    UpstreamUnavailable,
    #[error("The settings do not admit this user of the provider")]
    UpstreamUserNotAllowed,
    /// The identity leads to no session, for this reason.
    #[error("{}", .0.as_str().replace('_', " "))]
    UpstreamRefused(Refused),
    #[error("Account not found")]
    AccountNotFound,
    #[error("You can't unlink your last account")]
    FailedToUnlinkLastAccount,
    #[error("Social account already linked")]
    SocialAccountAlreadyLinked,
    #[error("Account not linked - different emails not allowed")]
    LinkingDifferentEmails,
    #[error("Account linking is not allowed")]
    LinkingNotAllowed,
    /// No tokens of the other issuer are kept.
    #[error("Access token not found")]
    AccessTokenNotFound,
    #[error("Refresh token not found")]
    RefreshTokenNotFound,
    /// The access token has expired and cannot be renewed.
    #[error("Failed to get a valid access token")]
    FailedToGetAccessToken,
    #[error("Failed to refresh access token")]
    FailedToRefreshAccessToken,
    #[error("Provider not supported")]
    ProviderNotSupported,
    #[error("The URLs are too long")]
    UrlTooLong,
    #[error("Session expired. Re-authenticate to perform this action.")]
    SessionExpired,
    #[error("Change email is disabled")]
    ChangeEmailDisabled,
    #[error("Reset password isn't enabled")]
    ResetPasswordDisabled,
    #[error("Verification email isn't enabled")]
    VerificationEmailNotEnabled,
    #[error("Failed to get user info")]
    FailedToGetUserInfo,
    #[error("Email not verified")]
    EmailNotVerified,
    #[error("Email mismatch")]
    EmailMismatch,
    #[error("Email is already verified")]
    EmailAlreadyVerified,
    #[error("Email is the same")]
    EmailIsTheSame,
    #[error("Invalid token")]
    MailTokenInvalid,
    #[error("Token expired")]
    MailTokenExpired,
    #[error("The keys were changed by another process first; nothing was done")]
    AlreadyRotated,
    /// The database has another master key than this process: load the keys and try again.
    #[error("the master key was changed meanwhile")]
    MasterKeyChanged,
    #[error("{0}")]
    KeyRefused(#[from] plan::Refused),
    #[error("{0}")]
    KeyUnusable(String),
    /// An import from a file, or taking one back, is refused; only the command line does either.
    #[error("{0}")]
    ImportRefused(String),
    #[error(transparent)]
    MasterKey(#[from] master_key::Error),
    #[error(
        "the database's keys are sealed under the master key {wanted}, which is not loaded (loaded: {loaded}); set COUNTERSIGN_MASTER_KEY, COUNTERSIGN_MASTER_KEY_FILE or restore keys/master.key"
    )]
    MasterKeyNotLoaded { wanted: String, loaded: String },
    #[error(
        "no master key at {path} (from {source_of_path}): is this the right directory, or is --config missing? The database holds keys sealed under the master key {wanted}; put the file back, or set COUNTERSIGN_MASTER_KEY. No new key was made. Only if no copy of that key is left: `countersign keys abandon --lost-master-key` replaces the keys and ends every session"
    )]
    MasterKeyMissing {
        path: String,
        source_of_path: String,
        wanted: String,
    },
    /// The process has more work than it can take on; nothing was begun.
    #[error("Service unavailable. Please try again.")]
    Busy,
    #[error("{0}")]
    WrongDatabase(String),
    #[error("Service unavailable. Please try again.")]
    Unavailable(String),
    #[error(
        "The answer took too long; the change may have been made. Please look before you try again."
    )]
    OutOfTime,
    #[error("Internal error")]
    Internal(String),
}

impl Error {
    /// Returns whether the service could not decide, and nothing was refused: the same request may be
    /// sent again.
    pub(in crate::flows) fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Unavailable(_)
                | Self::Internal(_)
                | Self::OutOfTime
                | Self::MasterKeyChanged
        )
    }
}
