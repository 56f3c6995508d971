//! Issues access tokens and reads those that this service issued.

pub mod issue_token;
pub mod session_tokens;
