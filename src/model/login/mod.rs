//! Signing in: what was proven, and whether that opens a session.

mod facts;
pub mod gate;
pub mod level;
pub mod policy;
pub mod proof;
pub mod strength;
