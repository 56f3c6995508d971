//! Statements about the serving processes and the times at which they stood still, and backups.

pub mod backup;
pub mod processes;
pub mod standstills;
