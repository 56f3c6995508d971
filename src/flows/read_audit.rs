//! Reading the audit trail, and proving that nobody has taken anything away from it or changed it.

use crate::app::App;
pub use crate::model::audit::{Entry, Fault, Walk};
use crate::model::permission::Action;
use crate::store;
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

/// Recomputes every chain, link by link.
pub async fn verify(app: &App) -> Result<Report> {
    let chains = app.db.read(|conn| Box::pin(store::audit::chains(conn))).await?;
    let mut report = Report { writers: chains.len(), ..Report::default() };
    for chain in chains {
        let mut walk = Walk::from(&chain.writer, chain.pruned_sequence, chain.pruned_link);
        let mut after = chain.pruned_sequence;
        loop {
            let writer = chain.writer.clone();
            let page = app.db.read(move |conn| Box::pin(async move { store::audit::of_writer(conn, &writer, after, PAGE).await })).await?;
            let Some((last, _)) = page.last() else { break };
            after = last.sequence;
            report.events += page.len() as u64;
            report.faults.extend(page.iter().flat_map(|(entry, link)| walk.step(entry, *link)));
        }
        report.faults.extend(walk.end(chain.sequence));
    }
    Ok(report)
}

/// Deletes what is older than the settings keep; tells how many events.
pub async fn prune(app: &App) -> Result<u64> {
    let Some(keep) = app.config.audit_retention else { return Ok(0) };
    let before = app.now() - keep;
    let chains = app.db.read(|conn| Box::pin(store::audit::chains(conn))).await?;
    let mut total = 0;
    for chain in chains {
        loop {
            let writer = chain.writer.clone();
            let deleted = app.db.write(move |conn| Box::pin(async move { store::audit::prune(conn, &writer, before, PAGE).await })).await?;
            total += deleted;
            if deleted < PAGE.unsigned_abs() {
                break;
            }
        }
    }
    Ok(total)
}
