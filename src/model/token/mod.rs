//! The content of an access token.

pub mod claims;
