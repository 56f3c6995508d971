//! Running the service: health, metrics, heartbeats, deletion of old rows, diagnosis, and what an
//! operator does who has lost the master key.

pub mod abandon_keys;
pub mod backup;
pub mod check_health;
pub mod checklist;
mod checklist_facts;
mod checklist_network;
pub mod collect_metrics;
pub mod copy_database;
pub mod dev;
pub mod diagnose;
mod diagnose_database;
mod diagnose_keys;
mod diagnosis;
pub mod file_modes;
pub mod heartbeat;
pub mod prune;
pub mod refresh_issuers;
