//! Flows of signing keys and the master key.

mod apply_change;
pub mod bootstrap;
pub mod change_keys;
pub mod current_keys;
pub mod foresee_revocation;
pub mod inspect_keys;
mod key_change;
pub mod load_keys;
mod new_key;
pub mod open_ring;
pub mod processes;
pub mod public_keys;
pub mod reseal_secrets;
pub mod rewrap;
mod spare_pairs;
pub mod verifiers;
