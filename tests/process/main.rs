//! The real binary: signals, crashes, two instances, the command line, what it logs. Every process
//! that a test starts it ends, by pid.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests speak plainly"
)]

mod backups;
mod calls;
mod chaos;
mod checklist;
mod cli;
mod clocks;
mod crash;
mod faults;
mod fleet;
mod floods;
mod kubernetes;
mod listener;
mod master_key;
mod moving;
mod peers;
mod printing;
mod proofs;
mod reapply;
mod refusals;
mod replicas;
mod roll_over;
mod rotations;
mod server;
mod serving;
mod settings;
mod unwritable;
mod upgrade;
mod upstream;
mod went_back;
mod wrong_place;
