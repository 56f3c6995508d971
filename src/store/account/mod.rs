//! Statements about users and their accounts, which are their ways to sign in.

pub mod languages;
pub mod password_kinds;
pub mod required_passwords;
pub mod user_changes;
pub mod user_search;
pub mod users;
