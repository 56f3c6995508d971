//! Countersign: a sign-in service and token issuer.
//!
//! The layers, in reading order. A folder is a layer, a sub-folder a domain, a file a subject; a
//! subject has the same file name in every layer.
//!
//! | layer | content |
//! | --- | --- |
//! | [`clock`], [`random`] | the only sources of time and randomness |
//! | [`config`] | the settings: file, environment and flags become one `Config`, or a list of every problem |
//! | [`model`] | types and pure rules without I/O; `model::session::refresh::decide` and `model::key::plan::plan` are the central ones |
//! | [`encoding`] | base64 and SHA-256 |
//! | [`crypto`] | all code that handles secrets |
//! | [`store`] | all SQL |
//! | [`mail`] | the templates of mails and their transports |
//! | [`outbound_http`] | outgoing HTTP requests |
//! | [`upstream`] | other issuers of identities: discovery, codes, id tokens |
//! | [`import`] | files of users as other software writes them |
//! | [`connection`] | the reasons why connections to other servers fail |
//! | [`metrics`] | counters and gauges |
//! | [`traces`] | spans of requests, sent to a collector |
//! | [`app`] | everything that is built once from the settings and passed down |
//! | [`flows`] | the use cases, one a file |
//! | [`jobs`] | the schedule of background work |
//! | [`http`] | the routes and their handlers |
//! | [`cli`] | the commands |
//!
//! Imports run one way: `http | cli | jobs → flows → store | crypto | mail → model`; a test checks
//! every `use`.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod crypto;
pub mod encoding;
pub mod flows;
pub mod http;
pub mod import;
pub mod jobs;
pub mod mail;
pub mod metrics;
pub mod model;
pub mod outbound_http;
pub mod random;
pub mod store;
pub mod traces;
pub mod upstream;
