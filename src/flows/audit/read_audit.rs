//! Reads the audit trail and checks it: each chain by itself, and against a copy that was kept
//! elsewhere (an export, the ends of chains in the log).

use std::collections::HashMap;

use serde_json::Value;

use crate::app::App;

pub use crate::model::audit::chain::{Fault, Walk};

pub use crate::model::audit::event::Entry;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::store::audit::chains::Chain;

pub use crate::store::audit::events::Filter;
use crate::store::{self, work};

use crate::flows::Result;
use crate::flows::confirm_clock;
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::background::Background;
use crate::flows::transaction::tx;

/// The number of events that are read at a time.
pub const PAGE: i64 = 1_000;

/// Returns a page of events.
pub async fn list(
    app: &App,
    _: Permitted<'_, to::ReadAudit>,
    filter: Filter,
    limit: i64,
) -> Result<Vec<Entry>> {
    Ok(app
        .db
        .read(work!(conn => store::audit::events::list(conn, &filter, limit).await))
        .await?)
}

/// Returns the number of events that match the filter, whatever position it names.
pub async fn count(app: &App, _: Permitted<'_, to::ReadAudit>, filter: Filter) -> Result<u64> {
    let count = app
        .db
        .read(work!(conn => store::audit::events::count(conn, &filter).await))
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Returns the position of an event, at which a page ends: `next` of a page, and where the
/// following page begins.
pub fn place_at(entry: &Entry) -> String {
    format!("{}.{}", entry.at.0, entry.id)
}

/// The problem of a text that is not the position at which a page ended.
pub const NOT_A_PLACE: &str = "is not the `next` of a page";

/// Parses the position at which a page ended.
pub fn place_of(text: &str) -> Option<(Timestamp, String)> {
    let (at, id) = text.split_once('.')?;
    Some((Timestamp(at.parse().ok()?), id.to_owned()))
}

/// The result of checking every chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The number of chains.
    pub writers: usize,
    /// The number of events that were checked.
    pub events: u64,
    /// The number of events that are marked as deleted because of their age, so that they were not
    /// checked.
    pub marked: u64,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

/// One event as a copy outside the database names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The writer of its chain.
    pub writer: String,
    /// The number of the event in the chain.
    pub sequence: i64,
    /// The link of the event.
    pub link: String,
    /// When it happened or was logged; `None` if the copy does not say so.
    pub at: Option<Timestamp>,
}

impl Known {
    /// Parses a line of an export or of a JSON log; returns `None` if it names no event. A log of
    /// an older version holds only the time of the line, minutes after the event.
    pub fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| value[name].as_str().map(ToOwned::to_owned);
        let at = ["at", "timestamp"]
            .iter()
            .find_map(|name| value[*name].as_str().and_then(Timestamp::parse));
        Some(Self {
            writer: text("writer")?,
            sequence: value["sequence"].as_i64()?,
            link: text("link")?,
            at,
        })
    }
}

/// The result of a comparison with a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// The number of events that exist unchanged.
    pub there: u64,
    /// The number of missing events that are so old that the retention may have deleted them.
    pub excused: u64,
    /// The events that are missing or altered.
    pub faults: Vec<Fault>,
}

/// Recomputes every chain, link by link. A chain with a fault is checked once more, because it may
/// have been shortened meanwhile.
pub async fn verify(app: &App, _: Permitted<'_, to::ReadAudit>) -> Result<Report> {
    let chains = app
        .db
        .read(work!(conn => store::audit::chains::chains(conn).await))
        .await?;
    let mut report = Report {
        writers: chains.len(),
        ..Report::default()
    };
    report.marked = chains
        .iter()
        .map(|chain| u64::try_from(chain.pruned_sequence).unwrap_or(0))
        .sum();
    for chain in chains {
        let (mut events, mut faults) = walk(app, &chain).await?;
        if !faults.is_empty() {
            let writer = chain.writer.clone();
            let now = app
                .db
                .read(work!(conn => store::audit::chains::chain(conn, &writer).await))
                .await?;
            (events, faults) = walk(app, now.as_ref().unwrap_or(&chain)).await?;
        }
        if !is_explained(app, &chain) {
            faults.push(Fault::Unexplained {
                writer: chain.writer.clone(),
                to: chain.pruned_sequence,
            });
        }
        report.events += events;
        report.faults.extend(faults);
    }
    Ok(report)
}

/// Returns whether events that are marked as deleted can have been old enough: there is a
/// retention, and the chain began before it.
fn is_explained(app: &App, chain: &Chain) -> bool {
    if chain.pruned_sequence == 0 {
        return true;
    }
    let Some(oldest) = app.config.audit_retention.map(|keep| app.now() - keep) else {
        return false;
    };
    let process = chain.writer.split('.').next().unwrap_or_default();
    // The name of a writer contains the time at which its process started.
    process
        .parse::<EventId>()
        .ok()
        .and_then(|id| id.made_at())
        .is_none_or(|began| began < oldest)
}

/// Looks for every event of a copy. An event that the retention may have deleted since is excused,
/// if the copy shows that it is old enough.
pub async fn compare(
    app: &App,
    _: Permitted<'_, to::ReadAudit>,
    copy: &[Known],
) -> Result<Compared> {
    let chains = app
        .db
        .read(work!(conn => store::audit::chains::chains(conn).await))
        .await?;
    let chains: HashMap<&str, &Chain> = chains
        .iter()
        .map(|chain| (chain.writer.as_str(), chain))
        .collect();
    let oldest = app.config.audit_retention.map(|keep| app.now() - keep);
    let mut compared = Compared::default();
    for known in copy {
        let (writer, sequence) = (known.writer.clone(), known.sequence);
        let found = app
            .db
            .read(work!(conn => store::audit::events::of_writer(conn, &writer, sequence - 1, 1).await))
            .await?;
        let (writer, sequence) = (known.writer.clone(), known.sequence);
        match found
            .into_iter()
            .find(|(entry, _)| entry.sequence == sequence)
        {
            Some((entry, _)) if entry.link == known.link => compared.there += 1,
            Some(_) => compared.faults.push(Fault::Differs { writer, sequence }),
            None => {
                let is_marked = chains.get(writer.as_str()).is_some_and(|chain| {
                    sequence <= chain.pruned_sequence && is_explained(app, chain)
                });
                let is_old = known.at.zip(oldest).is_some_and(|(at, oldest)| at < oldest);
                if is_marked && is_old {
                    compared.excused += 1;
                } else {
                    compared.faults.push(Fault::NotThere { writer, sequence });
                }
            }
        }
    }
    Ok(compared)
}

async fn walk(app: &App, chain: &Chain) -> Result<(u64, Vec<Fault>)> {
    let mut walk = Walk::from(&chain.writer, chain.pruned_sequence, chain.pruned_link);
    let (mut after, mut events, mut faults, mut last) = (i64::MIN, 0, Vec::new(), None);
    loop {
        let writer = chain.writer.clone();
        let page = app
            .db
            .read(work!(conn => store::audit::events::of_writer(conn, &writer, after, PAGE).await))
            .await?;
        let Some((end, _)) = page.last() else { break };
        after = end.sequence;
        events += page.len() as u64;
        for (entry, link) in &page {
            if entry.sequence <= chain.pruned_sequence {
                // An event at a position where everything was deleted was never written.
                faults.push(altered(entry));
                continue;
            }
            faults.extend(walk.step(entry, *link));
            if entry.sequence == chain.sequence {
                last = Some((entry.clone(), *link));
            }
        }
    }
    faults.extend(walk.end(chain.sequence));
    // The end of the chain is stored separately: an attacker who recomputes the last links has to
    // change that, too.
    if let Some((entry, link)) = last.filter(|(_, link)| *link != chain.link) {
        let known = faults.contains(&altered(&entry));
        faults.extend((!known && link.is_some()).then(|| altered(&entry)));
    }
    Ok((events, faults))
}

fn altered(entry: &Entry) -> Fault {
    Fault::Altered {
        writer: entry.writer.clone(),
        sequence: entry.sequence,
        id: entry.id.clone(),
    }
}

/// Deletes events that are older than the retention; returns how many.
pub async fn prune(app: &App) -> Result<u64> {
    let Some(keep) = app.config.audit_retention else {
        return Ok(0);
    };
    let (mut total, mut background) = (0, Background::deleting(app));
    while let Some(now) = confirm_clock::confirm(app).await? {
        let before = now.now() - keep;
        let writers = app
            .db
            .read(work!(conn => store::audit::events::writers_before(conn, before, PAGE).await))
            .await?;
        let mut deleted = 0;
        for writer in writers {
            let of_writer = background
                .piece(tx!(tx, limit => {
                    Ok(store::audit::events::prune(tx.conn, &writer, now, keep, limit).await?)
                }))
                .await?;
            if of_writer > 0 {
                background.pause().await?;
            }
            deleted += of_writer;
        }
        total += deleted;
        // An old event after a younger one, which a clock that was set back has caused, waits for
        // the younger one.
        if deleted == 0 {
            break;
        }
    }
    Ok(total)
}
