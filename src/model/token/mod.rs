//! What an access token says.

pub mod claims;
