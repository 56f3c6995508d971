//! Statements about signing keys and versions of the master key.

pub mod master_keys;
pub mod signing_keys;
