//! Users that come from other software: what a row of a file says (`draft`, `candidate`), which rows
//! of one file repeat each other (`repeated`), and what is done about a row (`judge`).

pub mod batch;
pub mod candidate;
pub mod draft;
pub mod judge;
pub mod policy;
pub mod reason;
pub mod repeated;
