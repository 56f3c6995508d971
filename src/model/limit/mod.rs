//! Rate limits, blocked networks, and how a bounded resource is shared between networks.

pub mod block;
pub mod network;
pub mod rate;
mod rule;
pub mod share;
