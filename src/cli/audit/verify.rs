//! `audit verify`: recomputes every chain, and compares it with a copy that was kept elsewhere.

use std::path::Path;

use serde_json::json;

use crate::app::App;
use crate::cli::{Failure, Output, Result, output};
use crate::flows::audit::read_audit::{self, Known};
use crate::flows::permit::Permitted;

use super::read;

pub(super) async fn verify(app: &App, against: Option<&Path>, form: Output) -> Result<()> {
    let mut report = read_audit::verify(app, Permitted::as_operator()).await?;
    let mut compared = None;
    if let Some(path) = against {
        let mut found =
            read_audit::compare(app, Permitted::as_operator(), &known_in(path)?).await?;
        report.faults.append(&mut found.faults);
        compared = Some((path, found));
    }
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    if form == Output::Json {
        let compared = compared.as_ref().map(|(path, found)| {
            json!({ "file": path, "unchanged": found.there, "excused": found.excused })
        });
        let members = [
            ("events", json!(report.events)),
            ("chains", json!(report.writers)),
            ("markedAsDeleted", json!(report.marked)),
            ("compared", json!(compared)),
            ("faults", json!(faults)),
        ];
        output::object(form, &members);
    }
    for fault in &faults {
        output::note(fault);
    }
    let marked = if report.marked > 0 {
        format!(
            " ({} more are marked as deleted because of their age)",
            report.marked
        )
    } else {
        String::new()
    };
    let summary = format!(
        "{} events in {} chains{marked}",
        report.events, report.writers
    );
    if !report.faults.is_empty() {
        return Err(Failure::Refused(format!(
            "{summary}: {} fault(s)",
            report.faults.len()
        )));
    }
    if report.events == 0 {
        return Err(Failure::Refused(
            "there are no audit events, so nothing was verified".into(),
        ));
    }
    output::note(&format!(
        "{summary}: each event fits the one before it, up to the end that the database has recorded."
    ));
    output::note(&match compared {
        Some((path, found)) => {
            let excused = if found.excused > 0 { format!("; {} may have been deleted because of their age (audit.retention)", found.excused) } else { String::new() };
            let (total, there) = (found.there + found.excused, found.there);
            format!("Of {total} event(s) named in {} {there} exist unchanged{excused}. Later events may have been cut off.", path.display())
        }
        None => "Events that were cut off together with that record, and a whole chain that was removed, are not found this way: compare with a copy (--against FILE).".to_owned(),
    });
    Ok(())
}

/// Returns the events that an export names, or the ends of chains in a log; skips other lines of a
/// log.
fn known_in(path: &Path) -> Result<Vec<Known>> {
    let text = read(path)?;
    let found: Vec<Known> = text.lines().filter_map(Known::parse).collect();
    if found.is_empty() {
        return Err(Failure::Refused(format!(
            "{} does not contain any audit event to compare with",
            path.display()
        )));
    }
    Ok(found)
}
