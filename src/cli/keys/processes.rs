//! Shows which processes serve and which master keys they have loaded.

use serde_json::json;

use crate::app::App;
use crate::cli::output::{self, List};
use crate::cli::table::{Column, text, time};
use crate::cli::{Output, Result};
use crate::flows::key::processes;
use crate::flows::key::processes::{Holders, Running};

const COLUMNS: [Column; 7] = [
    text("host"),
    text("pid"),
    time("since"),
    text("program"),
    text("heardSecondsAgo"),
    text("masterKeys"),
    text("holdsCurrentKey"),
];

/// Runs the command `keys processes`.
pub(super) async fn list(app: &App, format: Output) -> Result<()> {
    print(&processes::holders(app).await?, format);
    Ok(())
}

/// Prints the master keys above the signing keys of `keys list`.
pub(super) async fn beside_keys(app: &App, form: Output) -> Result<()> {
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
    let item = |(version, id, given_up): &(u8, String, bool)| json!({ "version": version, "master key": id, "state": state(id, *given_up), "held by": held_by(id) });
    let columns = [
        text("version"),
        text("master key"),
        text("state"),
        text("held by"),
    ];
    let items = holders.keys.iter().map(item).collect();
    output::rows(form, &columns, &output::objects(items));
    for process in holders.lacking() {
        output::note(&format!(
            "This process lacks the current master key and is not ready: {process}"
        ));
    }
    Ok(())
}

fn print(holders: &Holders, form: Output) {
    let item = |process: &Running| {
        let Running {
            host,
            pid,
            program,
            started_at,
            heard,
            master_keys,
        } = process;
        json!({
            "host": host,
            "pid": pid,
            "since": started_at,
            "program": program,
            "heardSecondsAgo": heard.as_secs(),
            "masterKeys": master_keys,
            "holdsCurrentKey": process.holds(&holders.current),
        })
    };
    let items = holders.running.iter().map(item).collect();
    output::list(form, &List::whole("processes", &COLUMNS, items));
}
