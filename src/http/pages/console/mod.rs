//! The pages for administrators.

pub(in crate::http::pages) mod acting;
pub(in crate::http::pages) mod audit;
pub(in crate::http::pages) mod keys;
mod pieces;
pub(in crate::http::pages) mod revoke_key;
mod timeline;
pub(in crate::http::pages) mod user;
pub(in crate::http::pages) mod user_actions;
pub(in crate::http::pages) mod user_sessions;
pub(in crate::http::pages) mod users;
