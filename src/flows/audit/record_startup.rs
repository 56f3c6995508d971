//! Records in the audit trail that a process begins to serve, and with which settings.

use serde_json::{Map, Value};

use crate::app::App;
use crate::model::audit::event::{Kind, Requester};

use crate::flows::Result;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;

/// Settings whose user names or paths may be credentials of other services.
const SECRETIVE: [&str; 4] = [
    "webhooks.url",
    "mail.smtp_url",
    "database.url",
    "database.direct_url",
];

/// Records the start with every setting that differs from its default; secrets are hidden as in
/// `config show`.
pub async fn announce(app: &App) -> Result<()> {
    let settings: Map<String, Value> = app
        .config
        .effective
        .iter()
        .filter(|e| e.source != "default" && !SECRETIVE.contains(&e.key.as_str()))
        .map(|e| (e.key.clone(), Value::from(e.value.clone())))
        .collect();
    let what = detail([
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("settings", settings.into()),
    ]);
    app.transaction(
        &Requester::named("process"),
        tx!(tx => tx.record(Kind::Started, None, None, what).await),
    )
    .await
}
