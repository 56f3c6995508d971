//! What every test stands on: the program under test, its actors, the contract that every answer is
//! held to.

pub mod actors;
pub mod app;
pub mod authenticator;
pub mod contract;
pub mod cookies;
pub mod db;
pub mod gate;
pub mod hashes;
pub mod issuer;
pub mod jar;
pub mod logs;
pub mod software_key;

pub use actors::{Answer, Browser, Tokens, User, claims, ticket_of};
pub use app::{TestApp, minutes, seconds};
pub use cookies::{
    ADMIN_COOKIE, CACHE_COOKIE, DEVICE_COOKIE, DONT_REMEMBER_COOKIE, REFRESH_COOKIE, SESSION_COOKIE,
};
pub use db::on_postgres;
