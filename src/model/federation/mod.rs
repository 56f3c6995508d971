//! Identities of other issuers: who says what of a user, and whose account an identity opens.

pub mod decide;
pub mod identity;
pub mod logout;
pub mod pending_link;
pub mod provider;
pub mod refused;
