//! Statements about sessions: beginning, refreshing, ending and deleting them.

pub mod ended;
pub mod endings;
pub(in crate::store) mod epochs;
pub mod old_sessions;
pub mod refresh;
pub mod sessions;
