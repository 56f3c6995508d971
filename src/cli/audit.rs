//! `audit …`: read the trail, follow it, write it out, prove it.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::app::App;
use crate::config::Config;
use crate::flows::authority::Authority;
use crate::flows::manage_users;
use crate::flows::read_audit::{self, Entry, Filter};
use crate::model::id::EventId;
use crate::model::time::Timestamp;

use super::{Failure, Output, Result, build, output};

/// How often `tail` looks.
const LOOK: Duration = Duration::from_secs(1);

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
        Audit::List { user, kind, since, limit, output } => {
            let subject = match user {
                Some(user) if user.contains('@') => Some(manage_users::find(app, &user).await?.id.to_string()),
                user => user,
            };
            let filter = Filter { subject, kind, since: since.map(|time| app.now() - time), ..Filter::default() };
            list(output, &read_audit::list(app, Authority::Operator, filter, limit.into()).await?);
            Ok(())
        }
        Audit::Tail => {
            let mut place = (app.now(), EventId(uuid::Uuid::max()));
            loop {
                place = print_after(app, place).await?;
                tokio::time::sleep(LOOK).await;
            }
        }
        Audit::Export { since } => {
            let from = since.map_or(Timestamp(0), |time| app.now() - time);
            print_after(app, (from, EventId(uuid::Uuid::nil()))).await?;
            Ok(())
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

/// Everything after a place; tells where it ended.
async fn print_after(app: &App, mut place: (Timestamp, EventId)) -> Result<(Timestamp, EventId)> {
    loop {
        let filter = Filter { after: Some(place), ..Filter::default() };
        let page = read_audit::list(app, Authority::Operator, filter, read_audit::PAGE).await?;
        for entry in &page {
            output::line(&object(entry).to_string());
        }
        match page.last().and_then(|last| Some((last.at, last.id.parse().ok()?))) {
            Some(last) => place = last,
            None => return Ok(place),
        }
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
