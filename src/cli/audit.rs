//! `audit …`: read the trail, follow it, write it out, prove it.

use std::collections::HashSet;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::app::App;
use crate::config::Config;
use crate::flows::authority::Authority;
use crate::flows::manage_users;
use crate::flows::read_audit::{self, Entry, Filter};
use crate::model::time::Timestamp;

use super::{Failure, Output, Result, build, output};

/// How often `tail` looks.
const LOOK: Duration = Duration::from_secs(1);
/// How late a transaction may be seen.
const OVERLAP: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List events, newest first
    #[command(after_help = "Example:\n  countersign audit list --user ana@example.com --kind session. --since 7d")]
    List {
        /// Only what concerns this user, by address or id; the id also of one who is deleted
        #[arg(long)]
        user: Option<String>,
        /// Only this kind, or all that begin so
        #[arg(long)]
        kind: Option<String>,
        /// Only what is not older than so long
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
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
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        since: Option<Duration>,
    },
    /// Recompute every chain: what was taken away, changed or moved shows
    Verify,
}

pub(super) async fn run(command: Audit, config: Config) -> Result<()> {
    let app = build(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Audit) -> Result<()> {
    match command {
        Audit::List { user, kind, since: age, limit, output } => {
            let subject = match user {
                Some(user) if user.contains('@') => Some(manage_users::find(app, &user).await?.id.to_string()),
                user => user,
            };
            let filter = Filter { subject, kind, since: age.map(|time| app.now() - time), ..Filter::default() };
            list(output, &read_audit::list(app, Authority::Operator, filter, limit.into()).await?);
            Ok(())
        }
        Audit::Tail => {
            // Of two that write at once the later may be seen first: the last seconds are looked at again, and nothing is printed twice.
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
            let mut place = (age.map_or(Timestamp(0), |time| app.now() - time), String::new());
            loop {
                let filter = Filter { after: Some(place.clone()), ..Filter::default() };
                let page = read_audit::list(app, Authority::Operator, filter, read_audit::PAGE).await?;
                let Some(last) = page.last() else { return Ok(()) };
                place = (last.at, last.id.clone());
                for entry in &page {
                    output::line(&object(entry).to_string());
                }
            }
        }
        Audit::Verify => {
            let report = read_audit::verify(app).await?;
            for fault in &report.faults {
                output::note(&fault.to_string());
            }
            let summary = format!("{} events of {} writers", report.events, report.writers);
            if report.faults.is_empty() {
                output::note(&format!("{summary}: nothing is missing and nothing was changed."));
                return Ok(());
            }
            Err(Failure::Refused(format!("{summary}: {} fault(s)", report.faults.len())))
        }
    }
}

/// Everything from a moment on, oldest first.
async fn since(app: &App, from: Timestamp) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    let mut place = (from, String::new());
    loop {
        let filter = Filter { after: Some(place), ..Filter::default() };
        let page = read_audit::list(app, Authority::Operator, filter, read_audit::PAGE).await?;
        let Some(last) = page.last() else { return Ok(all) };
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
    let rows: Vec<_> =
        entries.iter().map(|e| vec![json!(e.at), json!(e.kind), json!(e.actor), json!(e.subject), json!(e.ip_address), json!(e.detail)]).collect();
    output::rows(format, &["at", "kind", "actor", "subject", "ipAddress", "detail"], &rows);
}
