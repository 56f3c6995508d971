//! Flows of signing in: a first proof, and the second step where the gate asks for one.

pub(in crate::flows) mod challenge;
mod completion;
pub mod email_code;
pub mod enrolment;
mod entry;
pub mod factor_code;
mod learn_language;
pub(in crate::flows) mod new_device;
pub mod new_passkey;
pub(in crate::flows) mod own_code;
pub mod passkey_answer;
pub mod passkey_ceremony;
mod passkey_entry;
pub mod passkey_sign_in;
mod password_proof;
mod password_step;
pub(in crate::flows) mod refused_code;
pub(in crate::flows) mod remembered_device;
pub mod second_step;
pub mod sign_in;
pub mod step_code;
pub mod typed_code;
