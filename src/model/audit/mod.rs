//! Events of the audit trail, their hash chain, and what leaves through webhooks.

pub mod chain;
pub mod deed;
pub mod event;
pub mod export_check;
pub mod lost_event;
pub mod story;
pub mod webhook;
