//! Types that every domain uses: identifiers, times, origins, URLs, names and languages.

pub mod colour;
pub mod cookie_domain;
pub mod database_url;
pub mod foreign_origin;
pub mod id;
pub mod locale;
pub mod location;
pub mod loopback;
pub mod mail_sender;
pub mod mount;
pub mod naming;
pub mod numbers;
pub mod origin;
pub mod pace;
pub mod period;
pub mod redirect;
pub mod retry_delay;
pub mod standstill;
pub mod time;
pub mod trusted_clock;
pub mod user_agent;
pub mod web_url;
