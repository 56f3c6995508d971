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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::encode;
    use crate::model::kernel::time::Timestamp;

    /// The events 1 to `last` of a writer, as an export has them.
    fn chain(writer: &str, last: i64) -> Vec<Entry> {
        let mut previous = [0; 32];
        (1..=last)
            .map(|sequence| {
                let mut entry = Entry {
                    id: format!("{writer}-{sequence}"),
                    writer: writer.into(),
                    sequence,
                    at: Timestamp(sequence),
                    kind: "session.created".into(),
                    actor: String::new(),
                    subject: None,
                    session: None,
                    ip_address: String::new(),
                    user_agent: String::new(),
                    request_id: String::new(),
                    detail: "{}".into(),
                    link: String::new(),
                };
                previous = entry.expected_link(&previous);
                entry.link = encode(&previous);
                entry
            })
            .collect()
    }

    /// The places of the faults, and the ids of what is not proven.
    fn found(entries: &[Entry], known: &[(&str, i64, [u8; 32])]) -> (Vec<i64>, Vec<String>) {
        let known = known
            .iter()
            .map(|(writer, sequence, link)| (((*writer).to_owned(), *sequence), *link))
            .collect();
        let checked = check(&entries.iter().collect::<Vec<_>>(), &known);
        let places = checked.faults.iter().map(|fault| match fault {
            Fault::Altered { sequence, .. } => *sequence,
            other => panic!("{other}"),
        });
        (places.collect(), checked.unproven.into_iter().collect())
    }

    #[test]
    fn a_whole_export_is_right_in_any_order_and_with_lines_that_came_twice() {
        let mut lines = [chain("a", 3), chain("b", 2)].concat();
        assert_eq!(found(&lines, &[]), (vec![], vec![]));
        lines.reverse();
        lines.push(lines[0].clone());
        assert_eq!(found(&lines, &[]), (vec![], vec![]));
        assert!(starts(&lines.iter().collect::<Vec<_>>()).is_empty());
    }

    #[test]
    fn what_was_altered_added_or_given_another_place_shows() {
        let whole = chain("a", 3);
        let changed = |change: fn(&mut Vec<Entry>)| {
            let mut lines = whole.clone();
            change(&mut lines);
            found(&lines, &[]).0
        };
        assert_eq!(changed(|lines| lines[1].detail = "{\"a\":1}".into()), [2]);
        // A new link for the altered event does not fit the next one.
        let relinked = |lines: &mut Vec<Entry>| {
            lines[1].detail = "{\"a\":1}".into();
            let link = lines[1].expected_link(&hash(&lines[0].link).unwrap());
            lines[1].link = encode(&link);
        };
        assert_eq!(changed(relinked), [3]);
        assert_eq!(changed(|lines| lines[2].link = "none".into()), [3]);
        assert_eq!(changed(|lines| lines[0].sequence = 0), [0]);
        let other_at_one_place = |lines: &mut Vec<Entry>| {
            let mut other = lines[0].clone();
            other.actor = "x".into();
            lines.push(other);
        };
        assert_eq!(changed(other_at_one_place), [1]);
    }

    #[test]
    fn after_a_gap_the_link_before_it_decides_and_without_it_nothing_is_proven() {
        let whole = chain("a", 4);
        let link = |place: usize| hash(&whole[place - 1].link).unwrap();
        let after_gap = [&whole[..1], &whole[2..]].concat();
        let place = ("a".to_owned(), 2);
        let asked = starts(&after_gap.iter().collect::<Vec<_>>());
        assert_eq!(asked, HashSet::from([place]));
        let unproven = (vec![], vec!["a-3".to_owned()]);
        assert_eq!(found(&after_gap, &[]), unproven);
        assert_eq!(found(&after_gap, &[("b", 2, link(2))]), unproven);
        assert_eq!(found(&after_gap, &[("a", 2, link(2))]), (vec![], vec![]));
        assert_eq!(found(&after_gap, &[("a", 2, link(1))]), (vec![3], vec![]));
    }
}
