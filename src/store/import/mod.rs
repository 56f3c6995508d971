//! Imports of users from other software: batches, their rows, and the ids that users had before.

pub mod batches;
pub mod foreign_ids;
pub mod rollback;
pub mod rows;
