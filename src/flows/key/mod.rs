//! Flows of signing keys and the master key.

pub mod abandon_keys;
pub mod bootstrap;
pub mod change_keys;
pub mod inspect_keys;
mod key_change;
pub mod load_keys;
pub mod rewrap;
pub mod verifiers;
