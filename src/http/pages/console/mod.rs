//! The pages for administrators.

pub(in crate::http::pages) mod audit;
pub(in crate::http::pages) mod keys;
pub(in crate::http::pages) mod user;
pub(in crate::http::pages) mod users;
