//! Countersign: a sign-in service and token issuer.
//!
//! The map, in reading order. Folder = layer, file = subject: the same noun has the same file name
//! in every room.
//!
//! | room | holds |
//! | --- | --- |
//! | [`clock`], [`random`] | time and chance, the only sources of either |
//! | [`config`] | what the operator may say: file, environment, flags → one `Config`, or every problem at once |
//! | [`model`] | nouns and pure rules, no I/O; `model::session::refresh::decide` and `model::key::plan::plan` are the heart |
//! | [`encoding`] | base64 and SHA-256 |
//! | [`crypto`] | every line that touches a secret |
//! | [`store`] | every line of SQL |
//! | [`mail`] | the words of mails and the ways out |
//! | [`outbound_http`] | requests that this program makes |
//! | [`metrics`] | what is counted and measured |
//! | [`traces`] | where the time of a request goes, for a collector |
//! | [`app`] | everything built once from the settings and passed down |
//! | [`flows`] | the verbs, one story a file |
//! | [`jobs`] | the schedule |
//! | [`http`] | the URLs |
//! | [`cli`] | the commands |
//!
//! Imports run one way: `http | cli | jobs → flows → store | crypto | mail → model`; a test reads
//! every `use` and holds them to it.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod crypto;
pub mod encoding;
pub mod flows;
pub mod http;
pub mod jobs;
pub mod mail;
pub mod metrics;
pub mod model;
pub mod outbound_http;
pub mod random;
pub mod store;
pub mod traces;
