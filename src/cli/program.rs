//! The program as commands need it: its settings with longer time limits than for a request, and
//! the operator's name.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Config, Database};
use crate::flows::key::bootstrap;
use crate::model::audit::event::Requester;
use crate::random::OsRandom;

use super::Result;

const OPERATOR_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Lengthens the time limits of requests: ending every session or counting a large table may take
/// longer.
pub(super) fn with_long_timeouts(config: Config) -> Config {
    let database = Database {
        statement_timeout: OPERATOR_TIMEOUT,
        ..config.database.clone()
    };
    Config { database, ..config }
}

/// Builds the program without its key ring, on a database that exists.
pub(super) async fn build(config: Config) -> Result<App> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom));
    Ok(Box::pin(bootstrap::build_existing(config, clock, random)).await?)
}

/// Builds the program with its key ring, on a database that exists.
pub(super) async fn build_with_keys(config: Config) -> Result<App> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom));
    Ok(Box::pin(bootstrap::start_existing(config, clock, random)).await?)
}

/// Returns the operator as the requester for the audit trail.
#[expect(
    clippy::disallowed_methods,
    reason = "the operator's name is in the environment"
)]
pub(super) fn operator() -> Requester {
    let name = std::env::var("USER")
        .ok()
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| "unknown".into());
    let plain: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    Requester {
        actor: format!("cli:{plain}"),
        ..Requester::default()
    }
}
