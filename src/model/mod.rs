//! Nouns and pure rules. No I/O, no clock, no chance: all of it can be tested exhaustively.

pub mod account;
pub mod audit;
pub mod kernel;
pub mod key;
pub mod limit;
pub mod mail;
pub mod session;
pub mod token;
