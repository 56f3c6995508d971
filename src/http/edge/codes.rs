//! Status and stable code of everything that a flow refuses; exhaustive, so that a new refusal has
//! both.

use axum::http::StatusCode;

use crate::flows;
use crate::model::account::permission::Action;

pub(in crate::http) fn flow_status(error: &flows::Error) -> StatusCode {
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
        | E::EmailCanNotBeUpdated => StatusCode::BAD_REQUEST,
        E::InvalidEmailOrPassword
        | E::Unauthorized
        | E::RefreshTokenMissing
        | E::RefreshTokenInvalid
        | E::RefreshTokenExpired
        | E::RefreshTokenRevoked
        | E::RefreshTokenReused => StatusCode::UNAUTHORIZED,
        E::BannedUser
        | E::UserDisabled
        | E::EmailNotVerified
        | E::EmailDomainNotAllowed
        | E::SessionNotFresh
        | E::NotAllowed(_)
        | E::CannotImpersonateAdmins => StatusCode::FORBIDDEN,
        E::UserExists => StatusCode::UNPROCESSABLE_ENTITY,
        E::TooManyRequests(_) | E::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
        E::UserNotFound | E::SessionNotFound | E::FailedToGetUserInfo => StatusCode::NOT_FOUND,
        // A replica without the current master key serves nobody, and calls nobody a thief.
        E::Unavailable(_)
        | E::Busy
        | E::OutOfTime
        | E::MasterKeyChanged
        | E::KeyUnusable(_)
        | E::MasterKey(_)
        | E::MasterKeyNotLoaded { .. }
        | E::MasterKeyMissing { .. } => StatusCode::SERVICE_UNAVAILABLE,
        E::AlreadyRotated | E::KeyRefused(_) | E::WrongDatabase(_) | E::Internal(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

pub(in crate::http) fn flow_code(error: &flows::Error) -> &'static str {
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
        E::Unauthorized => "UNAUTHORIZED",
        E::InvalidPassword => "INVALID_PASSWORD",
        E::CredentialAccountNotFound => "CREDENTIAL_ACCOUNT_NOT_FOUND",
        E::NoFieldsToUpdate => "NO_FIELDS_TO_UPDATE",
        E::EmailCanNotBeUpdated => "EMAIL_CAN_NOT_BE_UPDATED",
        E::RefreshTokenMissing => "REFRESH_TOKEN_MISSING",
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
        E::CannotRemoveYourself => "YOU_CANNOT_REMOVE_YOURSELF",
        E::NonExistentRole => "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE",
        E::NoDataToUpdate => "NO_DATA_TO_UPDATE",
        E::PasswordViaUpdate => "PASSWORD_CANNOT_BE_UPDATED_VIA_UPDATE_USER",
        E::UserIdCannotBeUpdated => "USER_ID_CANNOT_BE_UPDATED",
        E::LastAdmin => "LAST_ADMIN",
        E::SessionNotFresh => "SESSION_NOT_FRESH",
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
        E::MailTokenInvalid => "INVALID_TOKEN",
        E::MailTokenExpired => "TOKEN_EXPIRED",
        E::Unavailable(_)
        | E::Busy
        | E::OutOfTime
        | E::MasterKeyChanged
        | E::KeyUnusable(_)
        | E::MasterKey(_)
        | E::MasterKeyNotLoaded { .. }
        | E::MasterKeyMissing { .. } => "SERVICE_UNAVAILABLE",
        E::AlreadyRotated | E::KeyRefused(_) | E::WrongDatabase(_) | E::Internal(_) => {
            "INTERNAL_SERVER_ERROR"
        }
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
        Action::DeleteUser => "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS",
        Action::SetPassword => "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD",
        Action::Impersonate | Action::ImpersonateAdmins => {
            "YOU_ARE_NOT_ALLOWED_TO_IMPERSONATE_USERS"
        }
        Action::ListSessions => "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS_SESSIONS",
        Action::RevokeSessions => "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS",
        Action::ReadAudit => "YOU_ARE_NOT_ALLOWED_TO_READ_THE_AUDIT_TRAIL",
        Action::ListKeys => "YOU_ARE_NOT_ALLOWED_TO_LIST_KEYS",
        Action::RotateKeys => "YOU_ARE_NOT_ALLOWED_TO_ROTATE_KEYS",
    }
}
