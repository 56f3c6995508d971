//! Flows of signing in, and devices that have signed in before.

mod entry;
pub mod known_device;
pub mod sign_in;
