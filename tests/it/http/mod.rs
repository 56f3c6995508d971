//! What clients see.

mod accounts;
mod bad_input;
mod refresh;
mod refresh_model;
mod sessions;
mod tokens;
mod well_known;
