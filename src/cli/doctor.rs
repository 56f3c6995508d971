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
use crate::flows::ops::diagnose::{Diagnosis, Verdict};
use crate::random::OsRandom;

use super::{Failure, Output, Result, output};

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
        Output::Table => {
            print_findings(form, &found);
            let size =
                |bytes: i64| json!(HumanBytes(u64::try_from(bytes).unwrap_or(0)).to_string());
            let row = |t: &crate::store::engine::server::TableSize| {
                vec![json!(t.name), size(t.bytes), size(t.index_bytes)]
            };
            let process = |p: &Running| {
                vec![
                    json!(p.name()),
                    json!(p.started_at),
                    json!(p.program),
                    json!(p.master_keys),
                ]
            };
            output::rows(
                form,
                &["process", "since", "program", "master keys"],
                &found.running.iter().map(process).collect::<Vec<_>>(),
            );
            output::rows(
                form,
                &["table", "rows", "indexes"],
                &found.tables.iter().map(row).collect::<Vec<_>>(),
            );
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
        "network",
        "userAgent",
        "count",
        "first",
        "last",
        "sinceRotation",
    ];
    let row = |verifier: &Value| {
        columns
            .iter()
            .map(|column| verifier[*column].clone())
            .collect::<Vec<_>>()
    };
    output::rows(
        form,
        &columns,
        &seen["verifiers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(row)
            .collect::<Vec<_>>(),
    );
    if let Some(rotated) = seen["rotatedAt"].as_str() {
        output::note(&format!(
            "The active key signs since {rotated}. Verifiers that have not fetched since then know it from before, or not at all. Each process has its own list."
        ));
    }
    Ok(())
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "✓",
        Verdict::Warning => "!",
        Verdict::Bad => "✗",
    }
}

/// Prints the findings as a table.
pub(super) fn print_findings(form: Output, found: &Diagnosis) {
    let row = |f: &diagnose::Finding| vec![json!(mark(f.verdict)), json!(f.subject), json!(f.says)];
    output::rows(
        form,
        &["", "subject", "finding"],
        &found.findings.iter().map(row).collect::<Vec<_>>(),
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
    let table = |t: &crate::store::engine::server::TableSize| {
        json!({ "name": t.name, "bytes": t.bytes, "indexBytes": t.index_bytes, "liveRows": t.live_rows, "deadRows": t.dead_rows,
                "updates": t.updates, "hotUpdates": t.hot_updates })
    };
    found.tables.iter().map(table).collect()
}
