//! What clients see.

mod accounts;
mod admin;
mod audit;
mod bad_input;
mod cookie_cache;
mod defects;
mod fields;
mod impersonation;
mod limits;
mod mail;
mod mailbox;
mod matrix;
mod metrics;
mod pages;
mod passwords;
mod refresh;
mod refresh_model;
mod sessions;
mod several_cookies;
mod sign_out;
mod standstills;
mod tokens;
mod users;
mod webhooks;
mod well_known;
