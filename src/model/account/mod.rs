//! Users: their identity, email address and password, and what they may do.

pub mod action;
pub mod common_password;
pub mod domain;
pub mod email;
pub mod password;
pub mod permission;
pub mod profile;
pub mod user;
