//! Statements about sessions: beginning, refreshing, ending and deleting them.

pub mod ended;
pub mod ending_notes;
pub mod endings;
pub mod epochs;
pub mod list_sessions;
pub(in crate::store) mod marks;
pub mod old_sessions;
pub mod origins;
pub mod refresh;
mod refreshed;
pub mod sessions;
