//! Finds the events of an export that a database has lost, and what was decided after them. An
//! event that the database still holds was not lost.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use crate::app::App;
use crate::model::audit::chain::Fault;
use crate::model::audit::event::{Entry, Kind, Requester};
use crate::model::audit::export_check;
use crate::model::audit::export_check::Position;
use crate::model::audit::lost_event::{Exported, Topic};
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::store::audit::events::Filter;
use crate::store::{self, work};

use crate::flows::Result;
use crate::flows::audit::read_audit;
use crate::flows::permit::Permitted;

/// What an export contains and the database does not.
#[derive(Debug, Default)]
pub(in crate::flows) struct Lost {
    /// The faults of the export; if there are any, nothing of it may be reapplied.
    pub faults: Vec<Fault>,
    /// Lost events that were not handled before, oldest first.
    pub events: Vec<Exported>,
    /// Ids of events that cannot be checked, because the link of the event before them is not
    /// known.
    pub unproven: HashSet<String>,
    last: HashMap<Topic, (Timestamp, EventId)>,
}

impl Lost {
    /// Returns whether a later event of the same export decides about the topic.
    pub fn decides_later(&self, topic: &Topic, event: &Exported) -> bool {
        self.last
            .get(topic)
            .is_some_and(|last| *last > (event.entry.at, event.id))
    }
}

/// Checks an export against itself and against the database, and finds what the database has lost.
pub(in crate::flows) async fn find(app: &App, events: Vec<Exported>) -> Result<Lost> {
    let entries: Vec<&Entry> = events.iter().map(|event| &event.entry).collect();
    let mut known = BTreeMap::new();
    for position in export_check::starts(&entries) {
        if let Some(link) = link_at(app, &position).await? {
            known.insert(position, link);
        }
    }
    let checked = export_check::check(&entries, &known);
    let mut lost = Lost {
        faults: checked.faults,
        unproven: checked.unproven,
        ..Lost::default()
    };
    let (done, mut seen) = (dealt_with_before(app).await?, HashSet::new());
    let mut events: Vec<Exported> = events
        .into_iter()
        .filter(|event| seen.insert(event.id))
        .collect();
    events.sort_by_key(|event| (event.entry.at, event.id));
    for event in events {
        let (at, id, writer, sequence) = (
            event.entry.at,
            event.entry.id.clone(),
            event.entry.writer.clone(),
            event.entry.sequence,
        );
        let held = app
            .db
            .read(work!(conn => store::audit::chains::held(conn, at, &id, &writer, sequence).await))
            .await?;
        if held
            .link
            .as_ref()
            .is_some_and(|link| *link != event.entry.link)
        {
            lost.faults.push(Fault::Differs {
                writer: event.entry.writer.clone(),
                sequence: event.entry.sequence,
            });
        }
        if held.link.is_some() || held.is_pruned {
            continue;
        }
        if !lost.unproven.contains(&event.entry.id)
            && let Some(topic) = event.deed().topic()
        {
            lost.last.insert(topic, (event.entry.at, event.id));
        }
        if !done.contains(&event.entry.id) {
            lost.events.push(event);
        }
    }
    Ok(lost)
}

/// Returns the link at a position of a chain, according to the database.
async fn link_at(app: &App, (writer, sequence): &Position) -> Result<Option<[u8; 32]>> {
    let (writer, sequence) = (writer.clone(), *sequence);
    let found = app.db.read(work!(conn => {
        let event = store::audit::events::of_writer(conn, &writer, sequence - 1, 1)
            .await?
            .into_iter()
            .find(|(entry, _)| entry.sequence == sequence);
        if let Some((_, link)) = event {
            return Ok(link);
        }
        // The position is that of the last event that was deleted because of its age.
        Ok(store::audit::chains::chain(conn, &writer)
            .await?
            .filter(|chain| chain.pruned_sequence == sequence)
            .and_then(|chain| chain.pruned_link))
    }));
    Ok(found.await?)
}

/// Returns the ids of events that an earlier run has handled.
async fn dealt_with_before(app: &App) -> Result<HashSet<String>> {
    let event = |text: &str| {
        serde_json::from_str::<Value>(text).ok()?["event"]
            .as_str()
            .map(ToOwned::to_owned)
    };
    let reapplied = after(app, Kind::Reapplied, None, (Timestamp(0), String::new())).await?;
    Ok(reapplied
        .iter()
        .filter_map(|entry| event(&entry.detail))
        .collect())
}

/// Returns the requester for the repetition of an event, so that the audit trail shows which event it
/// was.
pub(in crate::flows) fn peer_for(event: &Exported, requester: &Requester) -> Requester {
    Requester {
        request_id: format!("{REAPPLIED}{}", event.id),
        ..requester.clone()
    }
}

const REAPPLIED: &str = "reapply:";

/// Returns when an event was decided: what was repeated counts at the time of the lost event. A
/// client can choose the id of its request, but not its actor.
fn decided_at(entry: &Entry) -> Timestamp {
    let original = entry
        .request_id
        .strip_prefix(REAPPLIED)
        .filter(|_| entry.actor.starts_with("cli:"));
    original
        .and_then(|id| id.parse::<EventId>().ok()?.made_at())
        .unwrap_or(entry.at)
}

/// Returns when, after a lost event, the database last recorded a decision of one of these kinds
/// about the same user, the same network or all users; `None` if it has not.
pub(in crate::flows) async fn decided_since(
    app: &App,
    event: &Exported,
    kinds: &[Kind],
) -> Result<Option<Timestamp>> {
    let mut last = None;
    for kind in kinds {
        let later = after(
            app,
            *kind,
            event.entry.subject.clone(),
            (event.entry.at, event.entry.id.clone()),
        )
        .await?;
        let about_the_same = |entry: &&Entry| {
            let detail: Value = serde_json::from_str(&entry.detail).unwrap_or_default();
            entry.subject == event.entry.subject
                && detail["network"] == event.detail["network"]
                && (event.subject.is_some() || detail["of"] == event.detail["of"])
        };
        last = last.max(
            later
                .iter()
                .filter(about_the_same)
                .map(decided_at)
                .filter(|at| *at > event.entry.at)
                .max(),
        );
    }
    Ok(last)
}

/// Returns every event of a kind after a position, about the user if one is given.
async fn after(
    app: &App,
    kind: Kind,
    subject: Option<String>,
    place: (Timestamp, String),
) -> Result<Vec<Entry>> {
    let (mut all, mut place) = (Vec::new(), place);
    loop {
        let filter = Filter {
            kind: Some(kind.as_str().into()),
            subject: subject.clone(),
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
