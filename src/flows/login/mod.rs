//! Flows of signing in: a first proof, and the second step where the gate asks for one.

mod challenge;
mod entry;
pub mod factor_code;
mod learn_language;
mod new_device;
mod password_proof;
mod remembered_device;
pub mod second_step;
pub mod sign_in;
