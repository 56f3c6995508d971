//! `audit reapply`: repeats what a database has lost, from an export that was kept elsewhere, and
//! lists what an operator has to do by hand.

use std::path::Path;

use serde_json::json;

use crate::app::App;
use crate::cli::{Caution, Failure, Output, Result, Trial, operator, output};
use crate::flows::permit::Permitted;
use crate::flows::reapply::reapply_audit::{self, Exported, Outcome, Reapplied};

use super::read;

pub(super) async fn reapply(app: &App, export: &Path, caution: Caution) -> Result<()> {
    let Trial { dry_run, output } = caution.trial;
    let text = read(export)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let parsed = lines.enumerate().map(|(n, line)| {
        Exported::parse(line).ok_or_else(|| {
            Failure::Refused(format!(
                "line {} of {} is not an event of an export; nothing was done",
                n + 1,
                export.display()
            ))
        })
    });
    let events: Vec<Exported> = parsed.collect::<Result<_>>()?;
    if !dry_run {
        caution.confirm(
            app,
            &format!(
                "Repeat what this database has lost of the {} events in {}?",
                events.len(),
                export.display()
            ),
        )?;
    }
    let Reapplied {
        faults,
        lines: done,
    } = reapply_audit::reapply(app, Permitted::as_operator(), events, dry_run, &operator()).await?;
    for fault in &faults {
        output::note(&fault.to_string());
    }
    if !faults.is_empty() {
        return Err(Failure::Refused(format!(
            "{} differs from what was exported: {} fault(s). Nothing was done",
            export.display(),
            faults.len()
        )));
    }
    let (mut changed, mut open, mut items) = (0, 0, Vec::new());
    for line in &done {
        let (mark, words) = match &line.outcome {
            Outcome::Done(words) => ("done", words.clone()),
            Outcome::Partly(words) => ("partly", words.clone()),
            Outcome::Already => ("already", "nothing to do".to_owned()),
            Outcome::DecidedAnew(at) => (
                "not done",
                format!("decided anew at {at}; that decision stands"),
            ),
            Outcome::NotPossible(words) => ("not possible", words.clone()),
        };
        changed += usize::from(matches!(
            line.outcome,
            Outcome::Done(_) | Outcome::Partly(_)
        ));
        open += usize::from(matches!(
            line.outcome,
            Outcome::Partly(_) | Outcome::DecidedAnew(_) | Outcome::NotPossible(_)
        ));
        let (at, kind) = (line.at, &line.kind);
        if output == Output::Json {
            items.push(json!({ "at": at, "kind": kind, "subject": line.subject, "outcome": mark, "detail": words }));
            continue;
        }
        let subject = line
            .subject
            .map_or_else(|| "-".to_owned(), |id| id.to_string());
        output::line(&format!("{at} {kind} {subject} {mark}: {words}"));
    }
    let members = [
        ("items", json!(items)),
        ("total", json!(done.len())),
        ("next", json!(null)),
        ("done", json!(changed)),
        ("open", json!(open)),
    ];
    let count = format!("{} lost event(s); {changed}", done.len());
    let rest = format!("{open} need you: see above.");
    if dry_run {
        let text = format!("{count} would be done again. {rest}");
        output::planned(&app.config, output, &text, &members);
    } else {
        let text = format!("{count} done again. {rest}");
        output::changed(&app.config, output, &text, &members);
    }
    Ok(())
}
