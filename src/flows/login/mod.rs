//! Flows of signing in.

mod entry;
mod learn_language;
pub mod sign_in;
