//! Checks whether the lines of an export are what was written: recomputes each chain of the export,
//! link by link. A pure function.
//!
//! Links are hashes without a key. An edited line, an inserted line and an invalid link are found.
//! A whole chain that was recomputed from its start is not found if the database does not hold its
//! events, so an export has to be kept where only operators can write.

use std::collections::{BTreeMap, HashSet};

use super::chain::Fault;
use super::event::Entry;
use crate::encoding::decode_array;

/// A position in a chain: the chain's owner and the number of the event.
pub type Position = (String, i64);

/// The findings of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// The lines that differ from what was written.
    pub faults: Vec<Fault>,
    /// Ids of events that can be neither confirmed nor refuted, because the link of the event
    /// before them is not known.
    pub unproven: HashSet<String>,
}

/// Returns the position before the first event of each run of events: links that the export does
/// not hold.
pub fn starts(entries: &[&Entry]) -> HashSet<Position> {
    let there: HashSet<(&str, i64)> = entries
        .iter()
        .map(|e| (e.writer.as_str(), e.sequence))
        .collect();
    entries
        .iter()
        .filter(|e| e.sequence > 1 && !there.contains(&(e.writer.as_str(), e.sequence - 1)))
        .map(|e| (e.writer.clone(), e.sequence - 1))
        .collect()
}

/// Recomputes the chains. `known` holds links of positions that the export does not contain. A line
/// that occurs twice counts once.
pub fn check(entries: &[&Entry], known: &BTreeMap<Position, [u8; 32]>) -> Checked {
    let (mut chains, mut checked) = (BTreeMap::<(&str, i64), &Entry>::new(), Checked::default());
    for entry in entries {
        let first = chains
            .entry((entry.writer.as_str(), entry.sequence))
            .or_insert(entry);
        if *first != *entry {
            checked.faults.push(altered(entry));
        }
    }
    for ((writer, sequence), entry) in &chains {
        let before = sequence - 1;
        let previous = match (before, chains.get(&(*writer, before))) {
            (0, _) => Some([0; 32]),
            (_, Some(entry)) => hash(&entry.link),
            (_, None) => known.get(&((*writer).to_owned(), before)).copied(),
        };
        let is_right = match (hash(&entry.link), previous) {
            (None, _) => false,
            _ if before < 0 => false,
            (Some(link), Some(previous)) => entry.expected_link(&previous) == link,
            (Some(_), None) => {
                checked.unproven.insert(entry.id.clone());
                true
            }
        };
        if !is_right {
            checked.faults.push(altered(entry));
        }
    }
    checked
}

fn hash(link: &str) -> Option<[u8; 32]> {
    decode_array(link)
}

fn altered(entry: &Entry) -> Fault {
    Fault::Altered {
        writer: entry.writer.clone(),
        sequence: entry.sequence,
        id: entry.id.clone(),
    }
}
