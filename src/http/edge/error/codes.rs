//! Maps every error to a stable code and a message; `statuses` maps it to a status. The maps are
//! exhaustive, so that a new error gets all of them.

use axum::http::StatusCode;

use crate::flows;
use crate::model::account::action::Action;
use crate::model::session::session::End;

use super::Error;
use super::statuses::flow_status;

fn flow_code(error: &flows::Error) -> &'static str {
    use flows::Error as E;
    match error {
        E::InvalidEmailOrPassword => "INVALID_EMAIL_OR_PASSWORD",
        E::InvalidEmail => "INVALID_EMAIL",
        E::UserExists | E::EmailTaken => "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL",
        E::SignUpDisabled => "EMAIL_PASSWORD_SIGN_UP_DISABLED",
        E::PasswordTooShort => "PASSWORD_TOO_SHORT",
        E::PasswordTooLong => "PASSWORD_TOO_LONG",
        E::PasswordTooCommon => "PASSWORD_TOO_COMMON",
        E::PasswordCompromised => "PASSWORD_COMPROMISED",
        E::BannedUser => "BANNED_USER",
        E::UserDisabled => "USER_DISABLED",
        E::NewPasswordRequired => "NEW_PASSWORD_REQUIRED",
        E::Unauthorized => "UNAUTHORIZED",
        E::InvalidPassword => "INVALID_PASSWORD",
        E::CredentialAccountNotFound => "CREDENTIAL_ACCOUNT_NOT_FOUND",
        E::NoFieldsToUpdate => "NO_FIELDS_TO_UPDATE",
        E::EmailCanNotBeUpdated => "EMAIL_CAN_NOT_BE_UPDATED",
        E::RefreshTokenMissing => "REFRESH_TOKEN_MISSING",
        E::RefreshAttemptMissing => "REFRESH_ATTEMPT_MISSING",
        E::RefreshUnderWay => "REFRESH_UNDER_WAY",
        E::InvalidTarget => "INVALID_TARGET",
        E::KeysNotReady(_) => "AUDIENCE_NOT_READY",
        E::RefreshTokenInvalid => "REFRESH_TOKEN_INVALID",
        E::RefreshTokenExpired => "REFRESH_TOKEN_EXPIRED",
        E::RefreshTokenRevoked => "REFRESH_TOKEN_REVOKED",
        E::RefreshTokenReused => "REFRESH_TOKEN_REUSED",
        E::TooManyRequests(_) | E::Limited(_) => "TOO_MANY_REQUESTS",
        E::UserNotFound => "USER_NOT_FOUND",
        E::SessionNotFound => "SESSION_NOT_FOUND",
        E::NotAllowed(action) => not_allowed(*action),
        E::CannotImpersonateAdmins => "YOU_CANNOT_IMPERSONATE_ADMINS",
        E::NotImpersonating => "NOT_IMPERSONATING",
        E::CannotBanYourself => "YOU_CANNOT_BAN_YOURSELF",
        E::CannotDisableYourself => "YOU_CANNOT_DISABLE_YOURSELF",
        E::CannotRemoveYourself => "YOU_CANNOT_REMOVE_YOURSELF",
        E::NonExistentRole => "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE",
        E::NoDataToUpdate => "NO_DATA_TO_UPDATE",
        E::PasswordViaUpdate => "PASSWORD_CANNOT_BE_UPDATED_VIA_UPDATE_USER",
        E::UserIdCannotBeUpdated => "USER_ID_CANNOT_BE_UPDATED",
        E::LastAdmin => "LAST_ADMIN",
        E::SessionNotFresh(_) | E::AdminNotFresh => "SESSION_NOT_FRESH",
        E::InsufficientAuthentication => "INSUFFICIENT_USER_AUTHENTICATION",
        E::InvalidTwoFactorCookie => "INVALID_TWO_FACTOR_COOKIE",
        E::InvalidCode => "INVALID_CODE",
        E::InvalidBackupCode => "INVALID_BACKUP_CODE",
        E::TooManyAttempts => "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE",
        E::TotpNotEnabled => "TOTP_NOT_ENABLED",
        E::BackupCodesNotEnabled => "BACKUP_CODES_NOT_ENABLED",
        E::TotpAlreadyEnabled => "TOTP_ALREADY_ENABLED",
        E::OtpNotConfigured => "OTP_NOT_CONFIGURED",
        E::OtpHasExpired => "OTP_HAS_EXPIRED",
        E::EmailSignInDisabled => "EMAIL_SIGN_IN_DISABLED",
        E::InvalidOtp => "INVALID_OTP",
        E::OtpExpired => "OTP_EXPIRED",
        E::TooManyCodeTries => "TOO_MANY_ATTEMPTS",
        E::OtpRequired => "OTP_REQUIRED",
        E::TwoFactorNotEnabled => "TWO_FACTOR_NOT_ENABLED",
        E::ChallengeNotFound => "CHALLENGE_NOT_FOUND",
        E::FailedToVerifyRegistration => "FAILED_TO_VERIFY_REGISTRATION",
        E::PreviouslyRegistered => "PREVIOUSLY_REGISTERED",
        E::PasskeyNotFound | E::NoSuchPasskey => "PASSKEY_NOT_FOUND",
        E::AuthenticationFailed | E::PasskeyCloned(_) => "AUTHENTICATION_FAILED",
        E::SameUserRequired => "SAME_USER_REQUIRED",
        E::PasskeyLimitReached => "PASSKEY_LIMIT_REACHED",
        E::LastWayIn => "LAST_WAY_IN",
        E::ProviderNotFound => "PROVIDER_NOT_FOUND",
        E::IdTokenNotSupported => "ID_TOKEN_NOT_SUPPORTED",
        E::UpstreamUnavailable => "UPSTREAM_UNAVAILABLE",
        E::UpstreamUserNotAllowed => "UPSTREAM_USER_NOT_ALLOWED",
        E::UpstreamRefused(_) => "OAUTH_LINK_ERROR",
        E::AccountNotFound => "ACCOUNT_NOT_FOUND",
        E::FailedToUnlinkLastAccount => "FAILED_TO_UNLINK_LAST_ACCOUNT",
        E::SocialAccountAlreadyLinked => "SOCIAL_ACCOUNT_ALREADY_LINKED",
        E::LinkingDifferentEmails => "LINKING_DIFFERENT_EMAILS_NOT_ALLOWED",
        E::LinkingNotAllowed => "LINKING_NOT_ALLOWED",
        E::AccessTokenNotFound => "ACCESS_TOKEN_NOT_FOUND",
        E::RefreshTokenNotFound => "REFRESH_TOKEN_NOT_FOUND",
        E::FailedToGetAccessToken => "FAILED_TO_GET_ACCESS_TOKEN",
        E::FailedToRefreshAccessToken => "FAILED_TO_REFRESH_ACCESS_TOKEN",
        E::ProviderNotSupported => "PROVIDER_NOT_SUPPORTED",
        E::UrlTooLong => "URL_TOO_LONG",
        E::SessionExpired => "SESSION_EXPIRED",
        E::ChangeEmailDisabled => "CHANGE_EMAIL_DISABLED",
        E::ResetPasswordDisabled => "RESET_PASSWORD_DISABLED",
        E::VerificationEmailNotEnabled => "VERIFICATION_EMAIL_NOT_ENABLED",
        E::FailedToGetUserInfo => "FAILED_TO_GET_USER_INFO",
        E::EmailNotVerified => "EMAIL_NOT_VERIFIED",
        E::EmailDomainNotAllowed => "EMAIL_DOMAIN_NOT_ALLOWED",
        E::EmailMismatch => "EMAIL_MISMATCH",
        E::EmailAlreadyVerified => "EMAIL_ALREADY_VERIFIED",
        E::EmailIsTheSame => "EMAIL_IS_THE_SAME",
        E::MailTokenInvalid | E::InvalidIdToken => "INVALID_TOKEN",
        E::MailTokenExpired => "TOKEN_EXPIRED",
        E::Unavailable(_)
        | E::Busy
        | E::OutOfTime
        | E::MasterKeyChanged
        | E::KeyUnusable(_)
        | E::MasterKey(_)
        | E::MasterKeyNotLoaded { .. }
        | E::MasterKeyMissing { .. } => "SERVICE_UNAVAILABLE",
        E::AlreadyRotated
        | E::KeyRefused(_)
        | E::ImportRefused(_)
        | E::WrongDatabase(_)
        | E::Internal(_) => "INTERNAL_SERVER_ERROR",
    }
}

fn not_allowed(action: Action) -> &'static str {
    match action {
        Action::CreateUser => "YOU_ARE_NOT_ALLOWED_TO_CREATE_USERS",
        Action::ListUsers => "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS",
        Action::GetUser => "YOU_ARE_NOT_ALLOWED_TO_GET_USER",
        Action::UpdateUser | Action::SetEmail | Action::SetEmailVerified | Action::SetMetadata => {
            "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS"
        }
        Action::SetRole => "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE",
        Action::BanUser => "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS",
        Action::DisableUser => "YOU_ARE_NOT_ALLOWED_TO_DISABLE_USERS",
        Action::DeleteUser => "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS",
        Action::SetPassword => "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD",
        Action::ResetFactors => "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS",
        Action::Impersonate | Action::ImpersonateAdmins => {
            "YOU_ARE_NOT_ALLOWED_TO_IMPERSONATE_USERS"
        }
        Action::ListSessions => "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS_SESSIONS",
        Action::RevokeSessions => "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS",
        Action::ReadAudit => "YOU_ARE_NOT_ALLOWED_TO_READ_THE_AUDIT_TRAIL",
        Action::ListKeys => "YOU_ARE_NOT_ALLOWED_TO_LIST_KEYS",
        Action::RotateKeys => "YOU_ARE_NOT_ALLOWED_TO_ROTATE_KEYS",
        Action::RevokeKeys => "YOU_ARE_NOT_ALLOWED_TO_REVOKE_KEYS",
    }
}

impl Error {
    /// Returns the stable code and the message.
    pub(super) fn code_and_message(&self) -> (&'static str, String) {
        match self {
            Self::Flow(flow) | Self::Link(_, flow) => (flow_code(flow), flow_message(flow)),
            Self::BadRequest(message) => ("BAD_REQUEST", message.clone()),
            Self::Validation(source, errors) => {
                let source = source.name();
                let lines: Vec<String> = errors
                    .iter()
                    .flat_map(|(field, all)| {
                        let at = if field.is_empty() { "" } else { "." };
                        all.iter()
                            .map(move |m| format!("[{source}{at}{field}] {m}"))
                    })
                    .collect();
                ("VALIDATION_ERROR", lines.join("; "))
            }
            Self::FieldNotAllowed(field) => (
                "FIELD_NOT_ALLOWED",
                format!("{field} is not allowed to be set"),
            ),
            Self::UnsupportedMediaType(message) => ("UNSUPPORTED_MEDIA_TYPE", message.clone()),
            Self::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", "The body is larger than 64 KiB".into()),
            Self::RequestTimeout => ("REQUEST_TIMEOUT", "The body was sent too slowly".into()),
            Self::HeadersTooLarge => (
                "REQUEST_HEADER_FIELDS_TOO_LARGE",
                "The path, the query and the headers are too long, or there are too many headers"
                    .into(),
            ),
            Self::NotFound => ("NOT_FOUND", "This path does not exist".into()),
            Self::MethodNotAllowed => (
                "METHOD_NOT_ALLOWED",
                "This path does not support this method".into(),
            ),
            Self::InvalidOrigin(advice) => (
                "INVALID_ORIGIN",
                advised("Invalid origin", advice.as_deref()),
            ),
            Self::MissingOrNullOrigin(advice) => (
                "MISSING_OR_NULL_ORIGIN",
                advised("Missing or null Origin", advice.as_deref()),
            ),
            Self::InvalidCallbackUrl => ("INVALID_CALLBACK_URL", "Invalid callbackURL".into()),
            Self::InvalidRedirectUrl => ("INVALID_REDIRECT_URL", "Invalid redirectURL".into()),
            Self::InvalidErrorCallbackUrl => (
                "INVALID_ERROR_CALLBACK_URL",
                "Invalid errorCallbackURL".into(),
            ),
            Self::InvalidNewUserCallbackUrl => (
                "INVALID_NEW_USER_CALLBACK_URL",
                "Invalid newUserCallbackURL".into(),
            ),
            Self::InvalidFormToken => (
                "INVALID_FORM_TOKEN",
                "This form was shown to another session".into(),
            ),
            Self::KeysTooYoung => (
                "KEYS_TOO_YOUNG",
                "Not every verifier knows the next key yet".into(),
            ),
            Self::SessionOver {
                end: End::Revoked | End::SignedOut(_) | End::Replaced,
                ..
            } => ("UNAUTHORIZED", "The session was revoked".into()),
            Self::SessionOver {
                end: End::Expired, ..
            } => ("UNAUTHORIZED", "The session has expired".into()),
            Self::InvalidToken | Self::SessionOver { .. } => {
                ("UNAUTHORIZED", "Unauthorized".into())
            }
            Self::MailboxToVerify(_) => {
                Self::Flow(flows::Error::EmailNotVerified).code_and_message()
            }
            Self::StepUp(..) => (
                flow_code(&flows::Error::InsufficientAuthentication),
                "A stronger or younger proof of the user is required".into(),
            ),
            Self::Internal(_) => (
                "INTERNAL_SERVER_ERROR",
                "Something went wrong on our side".into(),
            ),
        }
    }
}

/// Adds the advice for a developer to a message.
fn advised(message: &str, advice: Option<&str>) -> String {
    match advice {
        Some(advice) => format!("{message}: {advice}"),
        None => message.to_owned(),
    }
}

/// Returns the message for a refused permission: its code in words, as clients of Better Auth
/// know it, for instance "You are not allowed to list users".
fn not_allowed_message(action: Action) -> String {
    let words = not_allowed(action).replace('_', " ").to_lowercase();
    words.replacen('y', "Y", 1)
}

/// Returns the message of a flow's error; internal causes are only logged.
fn flow_message(error: &flows::Error) -> String {
    if let flows::Error::NotAllowed(action) = error {
        return not_allowed_message(*action);
    }
    match flow_status(error) {
        StatusCode::SERVICE_UNAVAILABLE
            if matches!(
                error,
                flows::Error::OutOfTime | flows::Error::KeysNotReady(_)
            ) =>
        {
            error.to_string()
        }
        StatusCode::SERVICE_UNAVAILABLE => flows::Error::Unavailable(String::new()).to_string(),
        StatusCode::INTERNAL_SERVER_ERROR => flows::Error::Internal(String::new()).to_string(),
        _ => error.to_string(),
    }
}
