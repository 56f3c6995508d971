//! Whether the lines of an export are what was written: each chain of the export is recomputed,
//! link by link. Decided purely.
//!
//! Links hold no key. An edited line, a line that was added to a chain and a link that is none
//! show. A whole chain that was made anew does not, where the database does not know its events: an
//! export has to be kept where only operators write.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::chain::Fault;
use super::event::Entry;

/// A place in a chain: whose, and which event.
pub type Place = (String, i64);

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Lines that are not what was written.
    pub faults: Vec<Fault>,
    /// Ids of events that can be neither confirmed nor refuted: the link of the event before is not
    /// known.
    pub unproven: HashSet<String>,
}

/// The places before the first event of each run of events, whose links the export does not hold.
pub fn starts(entries: &[&Entry]) -> HashSet<Place> {
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

/// Recomputes the chains. `known` holds links of places that the export does not have. The same
/// line twice is one.
pub fn check(entries: &[&Entry], known: &BTreeMap<Place, [u8; 32]>) -> Checked {
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
    URL_SAFE_NO_PAD.decode(link).ok()?.try_into().ok()
}

fn altered(entry: &Entry) -> Fault {
    Fault::Altered {
        writer: entry.writer.clone(),
        sequence: entry.sequence,
        id: entry.id.clone(),
    }
}
