//! Flows of sessions: beginning, reading, refreshing, listing and ending them; impersonation.

pub mod acting;
pub mod carried;
pub(in crate::flows) mod clearance;
pub mod credential;
pub(in crate::flows) mod end_family;
pub mod end_session;
pub mod form_token;
mod granted;
pub mod impersonate;
pub mod manage_sessions;
pub mod mark_endings;
mod meets_policy;
pub mod open_session;
mod options;
pub mod presented;
pub mod read_session;
pub mod refresh;
mod refresh_job;
pub mod refresh_token;
pub mod replay_alarm;
pub mod session_cache;
pub mod session_tokens;
pub mod session_uses;
pub(in crate::flows) mod set_aside;
pub mod sign_out;
pub(in crate::flows) mod upstream_link;
pub(in crate::flows) mod upstream_tokens;
