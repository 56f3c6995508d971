//! The pages for visitors who are not signed in yet.

pub(in crate::http) mod challenge;
pub(in crate::http) mod email_sign_in;
pub(in crate::http) mod enrol;
pub(in crate::http) mod enter_code;
mod kind;
mod mailbox;
pub(in crate::http) mod passwords;
mod pending;
pub(in crate::http) mod sign_in;
pub(in crate::http) mod sign_in_with;
pub(in crate::http) mod sign_up;
pub(in crate::http) mod verify_email;
