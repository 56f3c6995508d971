//! Statements about sign-ins that wait for another proof, codes of mails, passkeys, and second factors.

pub mod challenges;
pub mod codes;
pub mod factors;
pub mod old_codes;
pub mod passkeys;
pub mod recovery_codes;
pub mod totp;
pub mod used_assertions;
