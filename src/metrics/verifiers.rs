//! Which verifiers fetched the JWKS: a table in memory of networks and user agents, limited in
//! size, so that an operator sees which verifiers have seen a new key.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::kernel::time::Timestamp;

/// The greatest number of entries; the one whose last fetch is oldest is removed for a new one.
const MOST: usize = 512;
/// The number of user agents that are distinguished in one network. More of them share one entry,
/// so that a client that changes its user agent with every request does not displace others.
const MOST_OF_A_NETWORK: usize = 8;
const OTHERS: &str = "(others)";
const LONGEST_AGENT: usize = 128;

/// The table of verifiers, by network and user agent.
#[derive(Debug, Default)]
pub struct Verifiers(Mutex<HashMap<(String, String), Fetches>>);

/// The fetches of one network and user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Fetches {
    /// The time of the first fetch.
    pub first: Timestamp,
    /// The time of the last fetch.
    pub last: Timestamp,
    /// The number of fetches, including those answered 304.
    pub count: u64,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verifier {
    /// The network: `192.0.2.0/24`, or a /48 of IPv6.
    pub network: String,
    /// The user agent as it was sent, at most 128 characters.
    pub user_agent: String,
    /// The fetches of this verifier.
    #[serde(flatten)]
    pub fetches: Fetches,
}

impl Verifiers {
    /// Counts a fetch of the JWKS.
    pub fn fetched(&self, network: &str, user_agent: &str, now: Timestamp) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let agent: String = user_agent.chars().take(LONGEST_AGENT).collect();
        let mut key = (network.to_owned(), agent);
        if let Some(known) = table.get_mut(&key) {
            (known.last, known.count) = (now, known.count + 1);
            return;
        }
        if table.keys().filter(|(other, _)| *other == network).count() >= MOST_OF_A_NETWORK {
            OTHERS.clone_into(&mut key.1);
        }
        if !table.contains_key(&key)
            && table.len() >= MOST
            && let Some(oldest) = table
                .iter()
                .min_by_key(|(_, fetches)| fetches.last)
                .map(|(key, _)| key.clone())
        {
            table.remove(&oldest);
        }
        let fetches = table.entry(key).or_insert(Fetches {
            first: now,
            last: now,
            count: 0,
        });
        (fetches.last, fetches.count) = (now, fetches.count + 1);
    }

    /// Returns all rows, the latest fetch first.
    pub fn list(&self) -> Vec<Verifier> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |((network, agent), fetches): (&(String, String), &Fetches)| Verifier {
            network: network.clone(),
            user_agent: agent.clone(),
            fetches: *fetches,
        };
        let mut rows: Vec<Verifier> = table.iter().map(row).collect();
        rows.sort_by(|a, b| {
            (b.fetches.last, &a.network, &a.user_agent).cmp(&(
                a.fetches.last,
                &b.network,
                &b.user_agent,
            ))
        });
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded_and_changing_user_agents_displace_no_other_network() {
        let verifiers = Verifiers::default();
        verifiers.fetched("192.0.2.0/24", "PyJWT", Timestamp(1));
        for n in 0..10_000 {
            verifiers.fetched("198.51.100.0/24", &format!("agent {n}"), Timestamp(2 + n));
        }
        let rows = verifiers.list();
        assert_eq!(rows.len(), 1 + MOST_OF_A_NETWORK + 1);
        assert!(rows.iter().any(|row| row.user_agent == "PyJWT"));
        assert_eq!(
            (rows[0].user_agent.as_str(), rows[0].fetches.count),
            (OTHERS, 9_992)
        );
        for n in 0..2_000 {
            verifiers.fetched(&format!("10.0.{n}.0/24"), "x", Timestamp(20_000 + n));
        }
        let rows = verifiers.list();
        assert_eq!(
            (rows.len(), rows[0].network.as_str()),
            (MOST, "10.0.1999.0/24")
        );
        verifiers.fetched("10.0.1999.0/24", &"ü".repeat(10_000), Timestamp(30_000));
        assert_eq!(
            verifiers.list()[0].user_agent.chars().count(),
            LONGEST_AGENT
        );
    }
}
