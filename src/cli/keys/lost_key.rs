//! `keys abandon`: for an operator who has lost the master key. The only command about keys that
//! works without them.

use std::sync::Arc;

use serde_json::json;

use crate::cli::{Output, Result, ask, operator, output};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::flows::key::bootstrap;
use crate::flows::ops::abandon_keys;
use crate::flows::permit::Permitted;
use crate::random::OsRandom;

pub(super) async fn abandon(config: Config, yes: bool, format: Output) -> Result<()> {
    bootstrap::require_database(&config)?;
    ask::confirm(
        &config,
        "Give up every signing key and end every session? What was sealed under the lost master key cannot be recovered.",
        yes,
    )?;
    let app = Box::pin(bootstrap::build_without_master_key(
        config,
        Arc::new(SystemClock),
        Arc::new(OsRandom),
    ))
    .await?;
    let done = abandon_keys::abandon(&app, Permitted::as_operator(), &operator()).await;
    app.db.close().await;
    let done = done?;
    output::record(
        format,
        &app.config,
        true,
        &[
            ("lost", json!(done.lost)),
            ("masterKey", json!(done.key_id)),
            ("version", json!(done.version)),
            ("keys", json!(done.keys)),
            ("sessions", json!(done.sessions)),
        ],
    );
    output::done(&app.config, "The keys and sessions are given up.");
    output::note(
        "Back up the new master key separately from the database, give it to every process and restart them.",
    );
    Ok(())
}
