//! Signing in at other issuers, and linking their identities to accounts.

pub mod begin;
pub mod callback;
pub mod confirm;
mod entry;
pub mod id_token;
pub mod links;
pub mod logout;
pub mod operate_links;
mod plan;
pub mod refused;
mod sign_in;

pub use crate::crypto::upstream_state::Urls;
