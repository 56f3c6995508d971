//! The verbs, one story a file: what happens, in order, with early returns. Jobs, command line and HTTP call the same ones.
//! Time and chance come from `App`; SQL is `store`'s and secrets are `crypto`'s business.

pub mod administer_users;
pub mod announce;
pub mod authority;
pub mod change_email;
pub mod change_keys;
pub mod change_password;
pub mod check_health;
pub mod choose_password;
pub mod copy_database;
pub mod delete_user;
pub mod deliver_mail;
pub mod deliver_webhooks;
pub mod diagnose;
pub mod end_session;
pub mod error;
pub mod form_token;
pub mod impersonate;
pub mod inspect_keys;
pub mod invite_user;
pub mod issue_token;
pub mod limit;
pub mod load_keys;
pub mod mail_links;
pub mod manage_sessions;
pub mod manage_users;
pub mod measure;
pub mod open_session;
pub mod outbox;
pub mod prune;
pub mod read_audit;
pub mod read_session;
pub mod record;
pub mod refresh;
pub mod reset_password;
pub mod rewrap;
pub mod session_cache;
pub mod shadow;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
pub mod update_user;
pub mod verify_email;
pub mod verify_token;

pub use error::{Error, Result};
