//! Applies rate limits; operators list, clear and block.

pub mod operate_limits;
pub mod rate_limit;
mod refund;
