//! Flows of signing in.

mod entry;
pub mod sign_in;
