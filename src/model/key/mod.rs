//! The life of signing keys and the state of the key ring.

pub mod algorithm;
pub mod key;
pub mod plan;
pub mod ring_id;
pub mod slots;
