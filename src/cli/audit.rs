//! `audit …`: read the trail, follow it, write it out, prove it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::app::App;
use crate::config::Config;
use crate::flows::account::manage_users;
use crate::flows::audit::read_audit;
use crate::flows::audit::read_audit::{Entry, Filter, Known};
use crate::flows::audit::reapply_audit;
use crate::flows::audit::reapply_audit::{Exported, Outcome, Reapplied};
use crate::flows::permit::Permitted;
use crate::model::kernel::time::Timestamp;

use super::{Failure, Output, Result, ask, build, operator, output};

/// How often `tail` looks.
const LOOK: Duration = Duration::from_secs(1);
/// How late a transaction may be seen.
const OVERLAP: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List events, newest first
    #[command(
        after_help = "Example:\n  countersign audit list --user ana@example.com --kind session. --since 7d"
    )]
    List {
        /// Only what concerns this user, by address or id; the id also of one who is deleted
        #[arg(long)]
        user: Option<String>,
        /// Only this kind, or all that begin so
        #[arg(long)]
        kind: Option<String>,
        /// Only what is not older than so long
        #[arg(long, value_name = "TIME", value_parser = super::duration)]
        since: Option<Duration>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print events as they come, one JSON object a line
    Tail,
    /// Print every event, oldest first, one JSON object a line
    Export {
        /// Only what is not older than so long
        #[arg(long, value_name = "TIME", value_parser = super::duration)]
        since: Option<Duration>,
    },
    /// Recompute every chain: an event that was taken out, changed or moved shows
    #[command(
        after_help = "A chain is checked up to the end that the database itself notes. One who can write the database may cut off the last events together\n\
        with that note, or take away a whole chain: compare with a copy that was kept elsewhere.\n\n\
        Examples:\n  countersign audit verify --against export.jsonl\n  countersign audit verify --against countersign.log"
    )]
    Verify {
        /// Compare with an earlier `audit export`, or with a log in JSON, which holds the ends of
        /// the chains
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// After a failover or a restore: do again what the database has lost, from an export kept
    /// elsewhere
    #[command(
        after_help = "Sign-outs, revocations, bans, roles, deletions, blocked networks and revoked keys are done again. Passwords, addresses and new accounts are not in\n\
        the trail: what cannot be done again is listed. What was decided after a lost event stands. An export with a line that does not fit its chain is\n\
        refused. A second run does nothing more.\n\nExample:\n  countersign audit reapply export.jsonl --dry-run"
    )]
    Reapply {
        /// As `audit export` wrote it
        export: PathBuf,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(command: Audit, config: Config) -> Result<()> {
    let app = build(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Audit) -> Result<()> {
    match command {
        Audit::List {
            user,
            kind,
            since: age,
            limit,
            output,
        } => {
            let subject = match user {
                Some(user) if user.contains('@') => {
                    Some(manage_users::find(app, &user).await?.id.to_string())
                }
                user => user,
            };
            let filter = Filter {
                subject,
                kind,
                since: age.map(|time| app.now() - time),
                ..Filter::default()
            };
            list(
                output,
                &read_audit::list(app, Permitted::as_operator(), filter, limit.into()).await?,
            );
            Ok(())
        }
        Audit::Tail => {
            // Of two that write at once the later may be seen first: the last seconds are looked at
            // again, and nothing is printed twice.
            let mut seen = HashSet::new();
            let mut from = app.now();
            loop {
                let page = since(app, from).await?;
                for entry in page.iter().filter(|e| seen.insert(e.id.clone())) {
                    output::line(&object(entry).to_string());
                }
                from = app.now() - OVERLAP;
                seen.retain(|id| page.iter().any(|e| e.id == *id));
                tokio::time::sleep(LOOK).await;
            }
        }
        Audit::Export { since: age } => {
            let mut place = (
                age.map_or(Timestamp(0), |time| app.now() - time),
                String::new(),
            );
            loop {
                let filter = Filter {
                    after: Some(place.clone()),
                    ..Filter::default()
                };
                let page =
                    read_audit::list(app, Permitted::as_operator(), filter, read_audit::PAGE)
                        .await?;
                let Some(last) = page.last() else {
                    return Ok(());
                };
                place = (last.at, last.id.clone());
                for entry in &page {
                    output::line(&object(entry).to_string());
                }
            }
        }
        Audit::Verify { against } => verify(app, against.as_deref()).await,
        Audit::Reapply {
            export,
            dry_run,
            yes,
        } => reapply(app, &export, dry_run, yes).await,
    }
}

async fn verify(app: &App, against: Option<&Path>) -> Result<()> {
    let mut report = read_audit::verify(app, Permitted::as_operator()).await?;
    let mut compared = None;
    if let Some(path) = against {
        let mut found =
            read_audit::compare(app, Permitted::as_operator(), &known_in(path)?).await?;
        report.faults.append(&mut found.faults);
        compared = Some((path, found));
    }
    for fault in &report.faults {
        output::note(&fault.to_string());
    }
    let marked = if report.marked > 0 {
        format!(
            " ({} more are marked as deleted for their age)",
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
            "there is no audit event: nothing was verified".into(),
        ));
    }
    output::note(&format!(
        "{summary}: each event fits the one before it, up to the end that the database notes."
    ));
    output::note(&match compared {
        Some((path, found)) => {
            let excused = if found.excused > 0 { format!("; {} may have been deleted for their age (audit.retention)", found.excused) } else { String::new() };
            let (total, there) = (found.there + found.excused, found.there);
            format!("Of {total} event(s) named in {} {there} are there, unchanged{excused}. Later events may have been cut off.", path.display())
        }
        None => "Events cut off together with that note, or a whole chain taken away, do not show: compare with a copy (--against FILE).".to_owned(),
    });
    Ok(())
}

async fn reapply(app: &App, export: &Path, dry_run: bool, yes: bool) -> Result<()> {
    let text = read(export)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let parsed = lines.enumerate().map(|(n, line)| {
        Exported::parse(line).ok_or_else(|| {
            Failure::Refused(format!(
                "line {} of {} is no event of an export; nothing was done",
                n + 1,
                export.display()
            ))
        })
    });
    let events: Vec<Exported> = parsed.collect::<Result<_>>()?;
    if !dry_run {
        ask::confirm(
            &format!(
                "Do again what this database has lost of the {} events in {}?",
                events.len(),
                export.display()
            ),
            yes,
        )?;
    }
    let Reapplied {
        faults,
        lines: done,
    } = reapply_audit::reapply(app, events, dry_run, &operator()).await?;
    for fault in &faults {
        output::note(&fault.to_string());
    }
    if !faults.is_empty() {
        return Err(Failure::Refused(format!(
            "{} is not what was exported: {} fault(s). Nothing was done",
            export.display(),
            faults.len()
        )));
    }
    let (mut changed, mut open) = (0, 0);
    for line in &done {
        let (mark, words) = match &line.outcome {
            Outcome::Done(words) => ("done", words.clone()),
            Outcome::Partly(words) => ("partly", words.clone()),
            Outcome::Already => ("already", "nothing to do".to_owned()),
            Outcome::DecidedAnew(at) => ("not done", format!("decided anew at {at}, which stands")),
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
        let subject = line
            .subject
            .map_or_else(|| "-".to_owned(), |id| id.to_string());
        output::line(&format!(
            "{} {} {subject} {mark}: {words}",
            line.at, line.kind
        ));
    }
    let verb = if dry_run {
        "would be done again. Nothing was written."
    } else {
        "done again."
    };
    output::note(&format!(
        "{} lost event(s); {changed} {verb} {open} need you: see above.",
        done.len()
    ));
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::Usage(format!("cannot read {}: {e}", path.display())))
}

/// The events that an export names, or the ends of chains in a log; other lines of a log are passed
/// over.
fn known_in(path: &Path) -> Result<Vec<Known>> {
    let text = read(path)?;
    let found: Vec<Known> = text.lines().filter_map(Known::parse).collect();
    if found.is_empty() {
        return Err(Failure::Refused(format!(
            "{} names no audit event: there is nothing to compare with",
            path.display()
        )));
    }
    Ok(found)
}

/// Everything from a moment on, oldest first.
async fn since(app: &App, from: Timestamp) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    let mut place = (from, String::new());
    loop {
        let filter = Filter {
            after: Some(place),
            ..Filter::default()
        };
        let page =
            read_audit::list(app, Permitted::as_operator(), filter, read_audit::PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        place = (last.at, last.id.clone());
        all.extend(page);
    }
}

fn object(e: &Entry) -> Value {
    json!({
        "id": e.id,
        "at": e.at,
        "kind": e.kind,
        "actor": e.actor,
        "subject": e.subject,
        "session": e.session,
        "ipAddress": e.ip_address,
        "userAgent": e.user_agent,
        "requestId": e.request_id,
        "detail": serde_json::from_str::<Value>(&e.detail).unwrap_or(Value::Null),
        "writer": e.writer,
        "sequence": e.sequence,
        "link": e.link,
    })
}

fn list(format: Output, entries: &[Entry]) {
    if format == Output::Json {
        for entry in entries {
            output::line(&object(entry).to_string());
        }
        return;
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|e| {
            vec![
                json!(e.at),
                json!(e.kind),
                json!(e.actor),
                json!(e.subject),
                json!(e.ip_address),
                json!(e.detail),
            ]
        })
        .collect();
    output::rows(
        format,
        &["at", "kind", "actor", "subject", "ipAddress", "detail"],
        &rows,
    );
}
