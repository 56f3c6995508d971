//! The use cases, one a file: what happens, in order, with early returns. Jobs, command line and
//! HTTP call the same ones. Time and randomness come from `App`; `store` holds the SQL and `crypto`
//! the secrets.

pub mod account;
pub mod audit;
pub mod authenticated;
pub(in crate::flows) mod authority;
pub mod confirm_clock;
pub mod error;
pub mod federation;
pub(in crate::flows) mod find_user;
pub mod import;
pub mod key;
pub mod limit;
pub mod login;
pub mod mail;
pub mod ops;
pub mod permit;
mod queue;
pub mod reapply;
pub mod session;
pub mod token;
pub mod transaction;

pub use error::{Error, Result};
