//! `database backup` and `database check`.

use std::path::Path;
use std::sync::Arc;

use indicatif::HumanBytes;
use serde_json::json;

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::flows::key::bootstrap;
use crate::flows::ops::backup;
use crate::model::kernel::database_url::DatabaseUrl;

use super::{Failure, Output, Result, doctor, output};

/// Runs `database backup`: makes a copy and names its master key.
pub(super) async fn make(config: Config, file: &Path, form: Output) -> Result<()> {
    if matches!(config.database.url, DatabaseUrl::Postgres(_)) {
        return Err(Failure::Refused(format!(
            "this makes backups of SQLite only; on Postgres use pg_dump, such as `pg_dump --format=custom --file={}`",
            file.display()
        )));
    }
    bootstrap::require_database(&config)?;
    if file.exists() {
        return Err(Failure::Refused(format!(
            "{} exists already, and a backup overwrites nothing",
            file.display()
        )));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let made = Box::pin(backup::make(config, &clock, file)).await?;
    output::object(
        form,
        &[
            ("file", json!(file.display().to_string())),
            ("bytes", json!(made.bytes)),
            ("users", json!(made.users)),
            ("newestEvent", json!(made.newest_event)),
            ("masterKey", json!(made.master_key)),
        ],
    );
    output::note(&format!(
        "Wrote {} and checked it. It needs the master key {}: keep that key apart from the backup.",
        HumanBytes(made.bytes),
        made.master_key
    ));
    Ok(())
}

/// Runs `database check`: prints what was found in a backup.
pub(super) async fn check(config: &Config, file: &Path, form: Output) -> Result<()> {
    let checked = backup::check(config, file).await;
    let well = checked.diagnosis.is_well();
    match form {
        Output::Json => output::object(
            form,
            &[
                ("file", json!(file.display().to_string())),
                ("usable", json!(well)),
                ("masterKey", json!(checked.master_key)),
                ("findings", doctor::findings(&checked.diagnosis)),
            ],
        ),
        Output::Table | Output::Wide => doctor::print_findings(form, &checked.diagnosis),
    }
    if well {
        output::note("The service can be restored from this backup.");
        Ok(())
    } else {
        Err(Failure::Refused(
            "the service cannot be restored from this backup as it is; see above".into(),
        ))
    }
}
