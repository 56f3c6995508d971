//! Statements about users and the accounts that prove them.

pub mod user_changes;
pub mod user_search;
pub mod users;
