//! Shows which processes serve and which master keys they have loaded.

use serde_json::{Value, json};

use crate::app::App;
use crate::cli::{Output, Result, output};
use crate::flows::key::processes;
use crate::flows::key::processes::{Holders, Running};

const COLUMNS: [&str; 7] = [
    "host",
    "pid",
    "since",
    "program",
    "heardSecondsAgo",
    "masterKeys",
    "holdsCurrentKey",
];

/// Runs the command `keys processes`.
pub(super) async fn list(app: &App, format: Output) -> Result<()> {
    print(&processes::holders(app).await?, format);
    Ok(())
}

/// Prints a note below the signing keys of `keys list`.
pub(super) async fn beside_keys(app: &App) -> Result<()> {
    let holders = processes::holders(app).await?;
    let state = |id: &String, given_up: bool| {
        if *id == holders.current {
            "current"
        } else if given_up {
            "given up"
        } else {
            "previous"
        }
    };
    let held_by = |id: &String| {
        holders
            .running
            .iter()
            .filter(|p| p.holds(id))
            .map(Running::name)
            .collect::<Vec<_>>()
    };
    let row = |(version, id, given_up): &(u8, String, bool)| {
        vec![
            json!(version),
            json!(id),
            json!(state(id, *given_up)),
            json!(held_by(id)),
        ]
    };
    output::rows(
        Output::Table,
        &["version", "master key", "state", "held by"],
        &holders.keys.iter().map(row).collect::<Vec<_>>(),
    );
    for process in holders.lacking() {
        output::note(&format!(
            "This process lacks the current master key and is not ready: {process}"
        ));
    }
    Ok(())
}

fn print(holders: &Holders, format: Output) {
    let rows: Vec<_> = holders
        .running
        .iter()
        .map(|process| cells(process, holders).to_vec())
        .collect();
    output::rows(format, &COLUMNS, &rows);
}

fn cells(process: &Running, holders: &Holders) -> [Value; 7] {
    let Running {
        host,
        pid,
        program,
        started_at,
        heard,
        master_keys,
    } = process;
    [
        json!(host),
        json!(pid),
        json!(started_at),
        json!(program),
        json!(heard.as_secs()),
        json!(master_keys),
        json!(process.holds(&holders.current)),
    ]
}
