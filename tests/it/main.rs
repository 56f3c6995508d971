//! The integration suite: actors speak HTTP to the program in process, on a fresh database, a clock
//! that stands still and seeded randomness. A test is named as a claim and reads as a conversation;
//! `app.after(..)` is the only way time passes.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    reason = "tests speak plainly"
)]

mod architecture;
mod contract;
mod documents;
mod foreign_hashes;
mod gate;
mod http;
mod imports;
mod jobs;
mod migrations;
mod moving;
mod settings;
mod store;
mod support;
mod upstream;
