//! What clients see.

#![allow(
    clippy::duplicate_mod,
    reason = "the scenarios of a refresh are compiled a second time, for clients with tickets"
)]

mod accounts;
mod admin;
mod all_or_nothing;
mod audiences;
mod audit;
mod bad_input;
mod both_sides;
mod console;
mod cookie_cache;
mod cookie_jar;
mod cookie_purposes;
mod defects;
mod documented_statuses;
mod edge;
mod fields;
mod foreign_hashes;
mod foreign_origins;
mod impersonation;
mod imported_ids;
mod limits;
mod linked_accounts;
mod mail;
mod mail_languages;
mod mail_queue;
mod mail_sign_in;
mod mail_sign_in_edges;
mod mailbox;
mod many_sessions;
mod matrix;
mod metrics;
mod mount;
mod new_master_key;
mod page_forms;
mod pages;
mod passkey_answers;
mod passkey_pages;
mod passkey_races;
mod passkeys;
mod passwords;
mod policies;
mod reapply;
mod refresh;
mod refresh_model;
mod refresh_wire;
#[path = "refresh.rs"]
mod refresh_with_tickets;
mod required_passwords;
mod session_races;
mod sessions;
mod several_cookies;
mod sign_out;
mod standstills;
mod step_up;
mod ticket_model;
mod ticket_simulation;
mod tickets;
mod tokens;
mod two_factor;
mod two_step_pages;
mod upstream;
mod upstream_form_post;
mod upstream_logout;
mod upstream_pages;
mod upstream_takeover;
mod upstream_tokens;
mod users;
mod walk_without_device;
mod webhooks;
mod well_known;
