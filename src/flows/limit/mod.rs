//! Applies rate limits; remembers devices that have signed in before, which the attempts of others do
//! not slow down; operators list, clear and block.

mod code_limits;
pub mod known_device;
pub mod operate_limits;
pub mod rate_limit;
mod refund;
