//! `audit list`, `audit tail` and `audit export`: prints events.

use std::collections::HashSet;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::{Output, Result, output};
use crate::flows::account::manage_users;
use crate::flows::audit::read_audit::{self, Entry, Filter};
use crate::flows::audit::search_audit;
use crate::flows::permit::Permitted;
use crate::model::kernel::time::Timestamp;

/// How often `tail` asks for new events.
const LOOK: Duration = Duration::from_secs(1);
/// The longest time between an event and its visibility, because a transaction commits later.
const OVERLAP: Duration = Duration::from_secs(30);

/// The filter of `audit list`.
pub(super) struct Wanted {
    pub(super) user: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) network: Option<IpNet>,
    pub(super) age: Option<Duration>,
    pub(super) limit: u32,
}

/// Runs the command `audit list`.
pub(super) async fn list(app: &App, wanted: Wanted, output: Output) -> Result<()> {
    let Wanted {
        user,
        kind,
        network,
        age,
        limit,
    } = wanted;
    let subject = match user {
        Some(user) if user.contains('@') => Some(
            manage_users::find(app, Permitted::as_operator(), &user)
                .await?
                .id
                .to_string(),
        ),
        user => user,
    };
    let filter = Filter {
        subject,
        kind,
        since: age.map(|time| app.now() - time),
        ..Filter::default()
    };
    let permitted = Permitted::as_operator();
    let entries = match network {
        Some(network) => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            search_audit::from_network(app, permitted, filter, network, limit).await?
        }
        None => read_audit::list(app, permitted, filter, limit.into()).await?,
    };
    print(output, &entries);
    Ok(())
}

/// Runs `audit tail`: prints events as they come, until it is stopped.
pub(super) async fn tail(app: &App) -> Result<()> {
    // Of two concurrent transactions the later event may become visible first: the last seconds are
    // read again, and no event is printed twice.
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

/// Runs the command `audit export`.
pub(super) async fn export(app: &App, age: Option<Duration>) -> Result<()> {
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
            read_audit::list(app, Permitted::as_operator(), filter, read_audit::PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        place = (last.at, last.id.clone());
        for entry in &page {
            output::line(&object(entry).to_string());
        }
    }
}

/// Returns all events from a time on, oldest first.
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

fn print(format: Output, entries: &[Entry]) {
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
