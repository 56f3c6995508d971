//! Identities of other issuers that are linked to accounts.

pub mod links;
