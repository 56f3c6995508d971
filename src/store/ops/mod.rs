//! Statements about the processes that serve and the times at which they stood still.

pub mod processes;
pub mod standstills;
