//! The words of the labels that are known beforehand: each series starts at zero.

pub(super) const SIGN_INS: [&str; 8] = [
    "success",
    "second_step",
    "wrong_password",
    "limited",
    "shut_out",
    "unverified",
    "unavailable",
    "error",
];
/// The methods of a second step.
pub(super) const METHODS: [&str; 4] = ["totp", "recovery_code", "email_code", "passkey"];
pub(super) const SIGN_INS_BY_MAIL: [&str; 6] = [
    "success",
    "second_step",
    "wrong_code",
    "limited",
    "shut_out",
    "error",
];
pub(super) const SIGN_INS_BY_PASSKEY: [&str; 7] = [
    "success",
    "second_step",
    "wrong_passkey",
    "unknown_passkey",
    "limited",
    "shut_out",
    "error",
];
pub(super) const STEPS: [&str; 6] = [
    "success",
    "next_step",
    "wrong_code",
    "limited",
    "no_challenge",
    "error",
];
pub(super) const REFRESHES: [&str; 14] = [
    "rotated",
    "kept",
    "repeated",
    "resumed",
    "superseded",
    "healed",
    "reused",
    "revoked",
    "expired",
    "invalid",
    "ticket_missing",
    "superseding",
    "limited",
    "unavailable",
];
pub(super) const MAILS: [&str; 5] = ["sent", "later", "refused", "void", "limited"];
pub(super) const LEFT_OUT: [&str; 3] = ["session_data", "set-auth-jwt", "nothing"];
pub(super) const WEBHOOKS: [&str; 3] = ["taken", "later", "given_up"];
