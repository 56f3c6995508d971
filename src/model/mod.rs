//! Nouns and pure rules. No I/O, no clock, no chance: all of it can be tested exhaustively.

pub mod audit;
pub mod claims;
pub mod colour;
pub mod common_password;
pub mod cookie_domain;
pub mod domain;
pub mod email;
pub mod id;
pub mod key;
pub mod limit;
pub mod locale;
pub mod mail;
pub mod mount;
pub mod origin;
pub mod password;
pub mod permission;
pub mod refresh;
pub mod session;
pub mod standstill;
pub mod time;
pub mod user;
pub mod user_agent;
pub mod webhook;
