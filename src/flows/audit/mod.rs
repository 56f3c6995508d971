//! Writing, reading, checking and reapplying the audit trail; delivering webhooks.

pub mod audit_ends;
pub mod deliver_webhooks;
pub(in crate::flows) mod lost_events;
pub mod read_audit;
pub mod reapply_audit;
mod reapply_deed;
pub mod record_startup;
pub mod recorder;
