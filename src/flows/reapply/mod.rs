//! After a failover or a restore: doing again what the database has lost, from an export of the
//! audit trail.

pub(in crate::flows) mod lost_events;
pub mod reapply_audit;
pub(in crate::flows) mod reapply_deed;
