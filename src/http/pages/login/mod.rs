//! The pages for visitors who are not signed in yet.

pub(in crate::http) mod challenge;
mod mailbox;
pub(in crate::http) mod passwords;
pub(in crate::http) mod sign_in;
pub(in crate::http) mod sign_up;
pub(in crate::http) mod verify_email;
