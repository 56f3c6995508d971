//! Identities of other issuers that are linked to accounts, and the tokens that are kept of them.

pub mod links;
pub mod upstream_tokens;
