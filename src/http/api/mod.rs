//! The handlers of the API under `/api/auth`, of health and metrics.

pub(in crate::http) mod accounts;
pub(in crate::http) mod admin;
pub(in crate::http) mod admin_sessions;
pub(in crate::http) mod audit;
pub mod dev;
pub(in crate::http) mod email_codes;
pub(in crate::http) mod emails;
pub(in crate::http) mod health;
pub(in crate::http) mod invitations;
pub(in crate::http) mod linked_accounts;
pub(in crate::http) mod magic_link;
pub(in crate::http) mod mail_proofs;
pub(in crate::http) mod ops;
pub(in crate::http) mod passkey_authentication;
mod passkey_fields;
pub(in crate::http) mod passkey_registration;
pub(in crate::http) mod passkeys;
pub(in crate::http) mod passwords;
pub(in crate::http) mod refresh;
pub(in crate::http) mod second_step;
pub(in crate::http) mod sessions;
pub(in crate::http) mod step_up;
pub(in crate::http) mod two_factor;
pub(in crate::http) mod upstream;
pub(in crate::http) mod upstream_callback;
pub(in crate::http) mod users;
