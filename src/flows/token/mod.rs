//! Issues access tokens.

pub mod issue_token;
