//! Searches the audit trail for the events that came from a network. No index covers the IP
//! address, so the events of the filter are read in pages.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::app::App;
use crate::flows::Result;
use crate::flows::permit::{Permitted, to};
use crate::model::limit::block::covers;

use super::read_audit;
use super::read_audit::{Entry, Filter, PAGE};

/// Returns the newest events of the filter that came from an IP address of the network, at most
/// `limit`; reads until there are enough or the trail ends.
pub async fn from_network(
    app: &App,
    permitted: Permitted<'_, to::ReadAudit>,
    filter: Filter,
    network: IpNet,
    limit: usize,
) -> Result<Vec<Entry>> {
    let (mut found, mut before) = (Vec::new(), filter.before.clone());
    while found.len() < limit {
        let filter = Filter {
            before,
            ..filter.clone()
        };
        let page = read_audit::list(app, permitted, filter, PAGE).await?;
        let Some(last) = page.last() else { break };
        before = Some((last.at, last.id.clone()));
        found.extend(page.into_iter().filter(|entry| is_from(entry, network)));
    }
    found.truncate(limit);
    Ok(found)
}

/// The number of events that one page of a search reads at most: some tenths of a second.
const READ: usize = 20 * 1_000;

/// A page of a search that may end before it has found enough.
pub struct Found {
    /// The events, newest first.
    pub events: Vec<Entry>,
    /// The last event that was read, where the next page begins; `None` at the end of the trail.
    pub next: Option<Entry>,
}

/// Returns a page of what [`from_network`] returns, after it has read no more than 20,000 events, so
/// that a request stays short however long the trail is.
pub async fn page_from_network(
    app: &App,
    permitted: Permitted<'_, to::ReadAudit>,
    filter: Filter,
    network: IpNet,
    limit: usize,
) -> Result<Found> {
    let (mut events, mut read, mut before) = (Vec::new(), 0, filter.before.clone());
    loop {
        let filter = Filter {
            before,
            ..filter.clone()
        };
        let page = read_audit::list(app, permitted, filter, PAGE).await?;
        let Some(last) = page.last().cloned() else {
            return Ok(Found { events, next: None });
        };
        let is_last = i64::try_from(page.len()).is_ok_and(|count| count < PAGE);
        read += page.len();
        for entry in page {
            if is_from(&entry, network) {
                events.push(entry.clone());
            }
            if events.len() == limit {
                return Ok(Found {
                    events,
                    next: Some(entry),
                });
            }
        }
        if is_last {
            return Ok(Found { events, next: None });
        }
        if read >= READ {
            return Ok(Found {
                events,
                next: Some(last),
            });
        }
        before = Some((last.at, last.id));
    }
}

/// Events of the schedule and of the command line have no IP address.
fn is_from(entry: &Entry, network: IpNet) -> bool {
    entry
        .ip_address
        .parse::<IpAddr>()
        .is_ok_and(|address| covers(network, address))
}
