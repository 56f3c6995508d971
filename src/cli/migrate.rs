//! `migrate`: applies migrations of the schema. `serve` does the same at start; this is for
//! operators who want to do it separately.

use std::sync::Arc;

use clap::Args;

use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Config, Database};
use crate::flows;
use crate::store;

use super::{Failure, Result, output};

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Show what would be applied and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn failed(error: store::Error) -> Failure {
    match error {
        store::Error::SchemaTooNew(_) | store::Error::Unsupported(_) => {
            Failure::Startup(error.to_string())
        }
        other => flows::Error::from(other).into(),
    }
}

pub(super) async fn run(command: Migrate, config: Config) -> Result<()> {
    let pending = store::engine::migrate::pending(&config.database.url, &App::db_options(&config))
        .await
        .map_err(failed)?;
    if pending.is_empty() {
        output::note("The schema is current.");
        return Ok(());
    }
    for (version, description) in &pending {
        output::line(&format!("{version:04} {description}"));
    }
    if command.dry_run {
        output::note("Nothing was written.");
        return Ok(());
    }
    let config = Config {
        database: Database {
            migrate: true,
            ..config.database.clone()
        },
        ..config
    };
    App::open_db(&config, Arc::new(SystemClock))
        .await
        .map_err(failed)?
        .close()
        .await;
    output::note("The schema is current now.");
    Ok(())
}
