//! The program as commands need it: its settings with longer time limits than for a request, and
//! the operator's name.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Config, Database};
use crate::flows;
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
    Ok(try_to_build_with_keys(config).await?)
}

/// Does the same as [`build_with_keys`], for a command that handles a reason itself.
pub(super) async fn try_to_build_with_keys(config: Config) -> flows::Result<App> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom));
    Box::pin(bootstrap::start_existing(config, clock, random)).await
}

/// Returns the operator as the requester for the audit trail.
#[expect(
    clippy::disallowed_methods,
    reason = "the operator's name is in the environment"
)]
pub(super) fn operator() -> Requester {
    let user = std::env::var("USER").ok();
    let uid = rustix::process::getuid().as_raw();
    Requester {
        actor: format!("cli:{}", operator_name(user.as_deref(), uid)),
        ..Requester::default()
    }
}

/// Returns the name of the operator: the user of the environment or, where there is none (cron, a
/// container), the number of the user.
fn operator_name(user: Option<&str>, uid: u32) -> String {
    let plain: String = user
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect();
    if plain.trim().is_empty() {
        format!("uid {uid}")
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_without_a_name_is_a_number() {
        assert_eq!(operator_name(Some("ana"), 1_000), "ana");
        assert_eq!(operator_name(Some("a\nb"), 1_000), "ab");
        for none in [None, Some(""), Some(" "), Some("\u{7}")] {
            assert_eq!(operator_name(none, 1_000), "uid 1000");
        }
    }
}
