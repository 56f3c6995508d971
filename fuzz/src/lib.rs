//! What the fuzz targets share: the service in this process, people who use it, ids of its database,
//! and the check of each target's twins.
//!
//! A *twin* is the good form of what a target fuzzes. Each target sends its twins at its start, and
//! the service must accept them: a change of a format or of a path fails the target at once, instead
//! of leaving it at the first check of the code. The twins are also the first inputs of a run.

pub mod passkeys;
pub mod placeholders;
pub mod refresh_token;
pub mod service;
pub mod twins;
pub mod two_step;
pub mod upstream;

pub use placeholders::filled;
pub use service::{Answer, Person, SERVICE};
