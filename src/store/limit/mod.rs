//! Statements about rate limits and blocked networks.

pub mod blocks;
pub mod limits;
