//! `doctor`: reports what is wrong, and what to do about it.

use std::sync::Arc;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::flows::key::bootstrap;
use crate::flows::key::processes::Running;
use crate::flows::key::verifiers;
use crate::flows::ops::diagnose;
use crate::flows::ops::diagnose::Diagnosis;
use crate::random::OsRandom;
use crate::store::engine::server::TableSize;

use super::checklist::mark;
use super::output::{self, List};
use super::table::{text, time};
use super::{Failure, Output, Result};

pub(super) async fn run(form: Output, config: Config) -> Result<()> {
    bootstrap::require_database(&config)?;
    let found = Box::pin(diagnose::diagnose(
        config,
        Arc::new(SystemClock),
        Arc::new(OsRandom),
    ))
    .await;
    match form {
        Output::Json => output::object(
            form,
            &[
                ("findings", findings(&found)),
                ("tables", tables(&found)),
                ("processes", running(&found)),
            ],
        ),
        Output::Table | Output::Wide => {
            print_findings(form, &found);
            print(form, &found);
        }
    }
    if found.is_well() {
        Ok(())
    } else {
        Err(Failure::Refused("something is wrong; see above".into()))
    }
}

/// Runs `doctor --verifiers`: asks the running process which verifiers have fetched the key set
/// since the last rotation.
pub(super) async fn verifiers(form: Output, config: &Config) -> Result<()> {
    let seen = verifiers::ask(config).await.map_err(Failure::Refused)?;
    let columns = [
        text("network"),
        text("userAgent"),
        text("count"),
        time("first"),
        time("last"),
        text("sinceRotation"),
    ];
    let items = seen["verifiers"].as_array().cloned().unwrap_or_default();
    output::list(form, &List::whole("verifiers", &columns, items));
    if let Some(rotated) = seen["rotatedAt"].as_str() {
        output::note(&format!(
            "The active key signs since {rotated}. Verifiers that have not fetched since then know it from before, or not at all. Each process has its own list."
        ));
    }
    Ok(())
}

fn print(form: Output, found: &Diagnosis) {
    let process = |p: &Running| json!({ "process": p.name(), "since": p.started_at, "program": p.program, "master keys": p.master_keys });
    let size = |bytes: i64| HumanBytes(u64::try_from(bytes).unwrap_or(0)).to_string();
    let table = |t: &TableSize| json!({ "table": t.name, "rows": size(t.bytes), "indexes": size(t.index_bytes) });
    output::rows(
        form,
        &[
            text("process"),
            time("since"),
            text("program"),
            text("master keys"),
        ],
        &output::objects(found.running.iter().map(process).collect()),
    );
    output::rows(
        form,
        &[text("table"), text("rows"), text("indexes")],
        &output::objects(found.tables.iter().map(table).collect()),
    );
}

/// Prints the findings as a table.
pub(super) fn print_findings(form: Output, found: &Diagnosis) {
    let finding = |f: &diagnose::Finding| json!({ "": mark(f.verdict), "subject": f.subject, "finding": f.says });
    output::rows(
        form,
        &[text(""), text("subject"), text("finding")],
        &output::objects(found.findings.iter().map(finding).collect()),
    );
}

/// Returns the findings as JSON.
pub(super) fn findings(found: &Diagnosis) -> Value {
    found
        .findings
        .iter()
        .map(|f| json!({ "subject": f.subject, "verdict": f.verdict, "finding": f.says }))
        .collect()
}

fn running(found: &Diagnosis) -> Value {
    let process = |p: &Running| json!({ "host": p.host, "pid": p.pid, "since": p.started_at, "program": p.program, "heardSecondsAgo": p.heard.as_secs(), "masterKeys": p.master_keys });
    found.running.iter().map(process).collect()
}

fn tables(found: &Diagnosis) -> Value {
    let table = |t: &TableSize| {
        json!({ "name": t.name, "bytes": t.bytes, "indexBytes": t.index_bytes, "liveRows": t.live_rows, "deadRows": t.dead_rows,
                "updates": t.updates, "hotUpdates": t.hot_updates })
    };
    found.tables.iter().map(table).collect()
}
