//! Searches the audit trail for the events that came from a network.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::app::App;
use crate::flows::Result;
use crate::flows::permit::{Permitted, to};
use crate::model::limit::block::covers;

use super::read_audit;
use super::read_audit::{Entry, Filter, PAGE};

/// Returns the newest events of the filter that came from an IP address of the network, at most
/// `limit`. No index covers the IP address: the events of the filter are read in pages until there
/// are enough.
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

/// Events of the schedule and of the command line have no IP address.
fn is_from(entry: &Entry, network: IpNet) -> bool {
    entry
        .ip_address
        .parse::<IpAddr>()
        .is_ok_and(|address| covers(network, address))
}
