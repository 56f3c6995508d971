//! Reads and checks the audit trail; delivers webhooks.

pub mod audit_ends;
pub mod deliver_webhooks;
pub mod operator_changes;
pub mod read_audit;
pub mod record_startup;
pub mod search_audit;
pub mod webhook_secret;
