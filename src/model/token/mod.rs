//! The content of an access token, and the backends that tokens are made for.

pub mod claims;
pub mod target;
