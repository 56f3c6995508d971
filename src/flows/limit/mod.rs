//! Applying rate limits, and what an operator does to them.

pub mod operate_limits;
pub mod rate_limit;
mod refund;
