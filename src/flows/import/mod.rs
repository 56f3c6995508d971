//! Imports users from other software: `survey` reads a file and decides about its rows, `run` carries
//! the decisions out, `rollback` takes a batch back.

mod hashes;
pub mod list;
mod page;
pub mod request;
pub mod rollback;
pub mod run;
pub mod survey;
