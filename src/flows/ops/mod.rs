//! Running the service: health, metrics, clocks, processes, deletion of old rows, diagnosis.

pub(in crate::flows) mod background;
pub mod check_health;
pub mod collect_metrics;
pub mod confirm_clock;
pub mod copy_database;
pub mod dev;
pub mod diagnose;
mod diagnose_database;
mod diagnose_keys;
pub mod heartbeat;
pub mod processes;
pub mod prune;
