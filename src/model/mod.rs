//! Types and pure rules: no I/O, no clock and no randomness, so that everything can be tested
//! exhaustively.

pub mod account;
pub mod audit;
pub mod federation;
pub mod import;
pub mod kernel;
pub mod key;
pub mod limit;
pub mod login;
pub mod mail;
pub mod session;
pub mod token;
