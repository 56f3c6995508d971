//! Everything around the handlers: listener, connections, layers, reading of requests, errors,
//! cookies.

pub(in crate::http) mod admission;
pub(in crate::http) mod blocks;
pub(in crate::http) mod bodies;
pub(in crate::http) mod body;
pub(in crate::http) mod client;
pub(in crate::http) mod concurrency_limit;
pub(in crate::http) mod connection;
pub(in crate::http) mod cookies;
pub(in crate::http) mod counted;
pub(in crate::http) mod credentials;
pub(in crate::http) mod demand;
pub mod error;
pub(in crate::http) mod fields;
pub(in crate::http) mod header_text;
pub(in crate::http) mod headers;
pub(in crate::http) mod limits;
pub(in crate::http) mod origin;
pub(in crate::http) mod outermost;
pub(in crate::http) mod outside;
pub(in crate::http) mod query;
pub(in crate::http) mod redirects;
pub(in crate::http) mod refusal;
pub mod server;
pub(in crate::http) mod target;
pub(in crate::http) mod text;
pub(in crate::http) mod unchecked;
