//! Signing in: what was proven, and whether that opens a session.

pub mod email_code;
mod facts;
pub mod gate;
pub mod level;
pub mod passkey;
pub mod policies;
pub mod policy;
pub mod proof;
pub mod strength;
