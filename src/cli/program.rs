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

/// Builds the program without its key ring.
pub(super) async fn build(config: Config) -> Result<App> {
    Ok(bootstrap::build(config, Arc::new(SystemClock), Arc::new(OsRandom)).await?)
}

/// Builds the program ready to serve.
pub(super) async fn start(config: Config) -> Result<App> {
    Ok(Box::pin(bootstrap::start(
        config,
        Arc::new(SystemClock),
        Arc::new(OsRandom),
    ))
    .await?)
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
