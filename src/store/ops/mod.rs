//! Statements about the serving processes and the times at which they stood still.

pub mod processes;
pub mod standstills;
