//! `migrate`: applies migrations of the schema. `serve` does the same at start; this is for
//! operators who want to do it separately.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Config, Database};
use crate::flows;
use crate::store;

use super::{Failure, Output, Result, Trial, output};

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    trial: Trial,
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
    let Trial { dry_run, output } = command.trial;
    let item = |(version, description): &(i64, _)| json!({ "version": version, "description": description });
    let members = [
        ("items", pending.iter().map(item).collect()),
        ("total", json!(pending.len())),
        ("next", json!(null)),
    ];
    if output != Output::Json {
        for (version, description) in &pending {
            output::line(&format!("{version:04} {description}"));
        }
    }
    if pending.is_empty() {
        if output == Output::Json {
            output::record(output, &config, false, &members);
        }
        output::note("The schema is current.");
        return Ok(());
    }
    if dry_run {
        output::planned(&config, output, "The schema is not current.", &members);
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
    output::changed(&config, output, "The schema is current now.", &members);
    Ok(())
}
