//! Flows of signing in: a first proof, and the second step where the gate asks for one.

pub(in crate::flows) mod challenge;
mod completion;
pub mod email_code;
pub mod enrolment;
mod entry;
pub mod factor_code;
mod learn_language;
pub(in crate::flows) mod new_device;
pub(in crate::flows) mod own_code;
mod password_proof;
pub(in crate::flows) mod remembered_device;
pub mod second_step;
pub mod sign_in;
pub mod step_code;
pub mod typed_code;
