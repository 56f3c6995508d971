//! Reading the audit trail, and proving that nobody has taken anything away from it or changed it.

use crate::app::App;
pub use crate::model::audit::{Entry, Fault, Walk};
use crate::model::permission::Action;
use crate::store;
use crate::store::audit::Chain;
pub use crate::store::audit::Filter;

use super::Result;
use super::authority::Authority;

/// Events that are read at once.
pub const PAGE: i64 = 1_000;

/// A page of events.
pub async fn list(app: &App, by: Authority<'_>, filter: Filter, limit: i64) -> Result<Vec<Entry>> {
    by.may(app, Action::ReadAudit)?;
    Ok(app.db.read(move |conn| Box::pin(async move { store::audit::list(conn, &filter, limit).await })).await?)
}

/// What a look at every chain has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Chains.
    pub writers: usize,
    /// Events that were looked at.
    pub events: u64,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

/// Recomputes every chain, link by link. One in which something is wrong is looked at once more: it may have been shortened meanwhile.
pub async fn verify(app: &App) -> Result<Report> {
    let chains = app.db.read(|conn| Box::pin(store::audit::chains(conn))).await?;
    let mut report = Report { writers: chains.len(), ..Report::default() };
    for chain in chains {
        let (mut events, mut faults) = walk(app, &chain).await?;
        if !faults.is_empty() {
            let writer = chain.writer.clone();
            let now = app.db.read(move |conn| Box::pin(async move { store::audit::chain(conn, &writer).await })).await?;
            (events, faults) = walk(app, now.as_ref().unwrap_or(&chain)).await?;
        }
        report.events += events;
        report.faults.extend(faults);
    }
    Ok(report)
}

async fn walk(app: &App, chain: &Chain) -> Result<(u64, Vec<Fault>)> {
    let mut walk = Walk::from(&chain.writer, chain.pruned_sequence, chain.pruned_link);
    let (mut after, mut events, mut faults, mut last) = (i64::MIN, 0, Vec::new(), None);
    loop {
        let writer = chain.writer.clone();
        let page = app.db.read(move |conn| Box::pin(async move { store::audit::of_writer(conn, &writer, after, PAGE).await })).await?;
        let Some((end, _)) = page.last() else { break };
        after = end.sequence;
        events += page.len() as u64;
        for (entry, link) in &page {
            if entry.sequence <= chain.pruned_sequence {
                // What stands where everything was deleted was never written.
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
    // The end is noted apart: one who makes the last links anew must know of that too.
    if let Some((entry, link)) = last.filter(|(_, link)| *link != chain.link) {
        let known = faults.contains(&altered(&entry));
        faults.extend((!known && link.is_some()).then(|| altered(&entry)));
    }
    Ok((events, faults))
}

fn altered(entry: &Entry) -> Fault {
    Fault::Altered { writer: entry.writer.clone(), sequence: entry.sequence, id: entry.id.clone() }
}

/// Deletes what is older than the settings keep; tells how many events.
pub async fn prune(app: &App) -> Result<u64> {
    let Some(keep) = app.config.audit_retention else { return Ok(0) };
    let before = app.now() - keep;
    let mut total = 0;
    loop {
        let writers = app.db.read(move |conn| Box::pin(store::audit::writers_before(conn, before, PAGE))).await?;
        let mut deleted = 0;
        for writer in writers {
            deleted += app.db.write(move |conn| Box::pin(async move { store::audit::prune(conn, &writer, before, PAGE).await })).await?;
        }
        total += deleted;
        // What is old but stands behind something younger, by a clock that was set back, waits for that.
        if deleted == 0 {
            return Ok(total);
        }
    }
}
