//! Making access tokens and reading the ones that this service made.

pub mod issue_token;
pub mod session_tokens;
