//! Statements about the audit trail and the queue of webhook messages.

pub mod chains;
pub mod events;
pub mod webhooks;
