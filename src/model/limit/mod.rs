//! Rate limits, blocked networks, and how places are shared between networks.

pub mod block;
pub mod network;
pub mod rate;
pub mod share;
