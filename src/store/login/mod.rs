//! Statements about sign-ins that wait for another proof, and about second factors.

pub mod challenges;
pub mod factors;
pub mod recovery_codes;
pub mod totp;
