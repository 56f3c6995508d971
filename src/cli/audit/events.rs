//! `audit list`, `audit tail` and `audit export`: prints events.

use std::collections::HashSet;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::output::{self, List};
use crate::cli::paging::Continued;
use crate::cli::table::{Column, id, name, text, time};
use crate::cli::{Failure, Output, Result};
use crate::flows::account::manage_users;
use crate::flows::audit::read_audit::{self, Entry, Filter};
use crate::flows::audit::search_audit;
use crate::flows::permit::Permitted;
use crate::model::kernel::period::Moment;
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
    pub(super) since: Option<Moment>,
}

const COLUMNS: [Column; 6] = [
    time("at"),
    name("kind"),
    id("actor"),
    id("subject"),
    name("ipAddress"),
    text("detail"),
];

/// Runs the command `audit list`.
pub(super) async fn list(
    app: &App,
    wanted: Wanted,
    paging: &Continued,
    form: Output,
) -> Result<()> {
    let Wanted {
        user,
        kind,
        network,
        since,
    } = wanted;
    let not_a_page = || Failure::Usage(format!("--page {}", read_audit::NOT_A_PLACE));
    let before = match &paging.page {
        Some(page) => Some(read_audit::place_of(page).ok_or_else(not_a_page)?),
        None => None,
    };
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
        since: since.map(|since| since.at(app.now())),
        before,
        ..Filter::default()
    };
    let permitted = Permitted::as_operator();
    let (mut events, total) = if let Some(network) = network {
        from_network(app, filter, network).await?
    } else {
        let total = read_audit::count(app, permitted, filter.clone()).await?;
        // One more than is printed, which says whether another page follows.
        let limit = i64::try_from(paging.limit().saturating_add(1)).unwrap_or(i64::MAX);
        let events = read_audit::list(app, permitted, filter, limit).await?;
        (events, total)
    };
    let is_last = events.len() <= paging.limit();
    events.truncate(paging.limit());
    let next = events.last().filter(|_| !is_last);
    let list = List {
        noun: "events",
        columns: &COLUMNS,
        items: output::objects(events.iter().map(object).collect()),
        total,
        next: json!(next.map(read_audit::place_at)),
    };
    output::list(form, &list);
    Ok(())
}

/// Returns the events of the filter that came from a network and stand before its position, and
/// the number of those at any position.
async fn from_network(app: &App, filter: Filter, network: IpNet) -> Result<(Vec<Entry>, u64)> {
    let before = filter.before.clone();
    let all = Filter {
        before: None,
        ..filter
    };
    let permitted = Permitted::as_operator();
    let mut events = search_audit::from_network(app, permitted, all, network, usize::MAX).await?;
    let total = events.len() as u64;
    events.retain(|event| {
        before
            .as_ref()
            .is_none_or(|(at, id)| (event.at, &event.id) < (*at, id))
    });
    Ok((events, total))
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
            if !output::line(&object(entry).to_string()) {
                return Ok(());
            }
        }
        from = app.now() - OVERLAP;
        seen.retain(|id| page.iter().any(|e| e.id == *id));
        tokio::time::sleep(LOOK).await;
    }
}

/// Runs the command `audit export`.
pub(super) async fn export(app: &App, since: Option<Moment>) -> Result<()> {
    let mut place = (
        since.map_or(Timestamp(0), |since| since.at(app.now())),
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
            if !output::line(&object(entry).to_string()) {
                return Ok(());
            }
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
