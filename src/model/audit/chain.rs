//! Checks the hash chain of one writer of the audit trail: a gap, an edit or a missing end is a
//! `Fault`.

use super::event::Entry;

/// A fault of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Events of a writer are missing.
    Missing {
        /// The writer of the chain.
        writer: String,
        /// The number of the first missing event.
        from: i64,
        /// The number of the last missing event.
        to: i64,
    },
    /// An event differs from what was written, or is not at its position.
    Altered {
        /// The writer of the chain.
        writer: String,
        /// The number of the event.
        sequence: i64,
        /// The id of the event.
        id: String,
    },
    /// The beginning of a chain is marked as deleted because of its age, which the retention of the
    /// settings does not explain.
    Unexplained {
        /// The writer of the chain.
        writer: String,
        /// The number of the last event that is marked so.
        to: i64,
    },
    /// A copy that was kept elsewhere has an event that the database does not have.
    NotThere {
        /// The writer of the chain.
        writer: String,
        /// The number of the event.
        sequence: i64,
    },
    /// A copy that was kept elsewhere has another event with this number.
    Differs {
        /// The writer of the chain.
        writer: String,
        /// The number of the event.
        sequence: i64,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { writer, from, to } if from == to => {
                write!(f, "event {from} of {writer} is missing")
            }
            Self::Missing { writer, from, to } => {
                write!(f, "events {from} to {to} of {writer} are missing")
            }
            Self::Unexplained { writer, to } => {
                write!(
                    f,
                    "events up to {to} of {writer} are marked as deleted because of their age, which audit.retention does not explain"
                )
            }
            Self::NotThere { writer, sequence } => write!(
                f,
                "event {sequence} of {writer} is in the copy but not in the database"
            ),
            Self::Differs { writer, sequence } => {
                write!(
                    f,
                    "event {sequence} of {writer} differs from the one in the copy"
                )
            }
            Self::Altered {
                writer,
                sequence,
                id,
            } => write!(
                f,
                "event {sequence} of {writer} ({id}) differs from what was written"
            ),
        }
    }
}

/// A walk through a writer's chain, event by event in the order of their numbers.
#[derive(Debug, Clone)]
pub struct Walk {
    writer: String,
    sequence: i64,
    link: Option<[u8; 32]>,
}

impl Walk {
    /// Starts after the events that were deleted because of their age.
    pub fn from(writer: &str, sequence: i64, link: Option<[u8; 32]>) -> Self {
        Self {
            writer: writer.to_owned(),
            sequence,
            link: link.or((sequence == 0).then_some([0; 32])),
        }
    }

    /// Checks the next event; `link` is the link in its row. Returns the faults.
    pub fn step(&mut self, entry: &Entry, link: Option<[u8; 32]>) -> Vec<Fault> {
        let mut faults = self.gap(entry.sequence);
        // After a gap the previous link is unknown: the event is only checked against its own link.
        let expected = if faults.is_empty() {
            self.link.map(|previous| entry.expected_link(&previous))
        } else {
            None
        };
        if link.is_none() || expected.is_some_and(|expected| link != Some(expected)) {
            faults.push(Fault::Altered {
                writer: self.writer.clone(),
                sequence: entry.sequence,
                id: entry.id.clone(),
            });
        }
        (self.sequence, self.link) = (entry.sequence, link);
        faults
    }

    /// Checks the end of the chain: `sequence` is the number of the last event that was written.
    pub fn end(&self, sequence: i64) -> Vec<Fault> {
        self.gap(sequence + 1)
    }

    fn gap(&self, next: i64) -> Vec<Fault> {
        if next <= self.sequence + 1 {
            return Vec::new();
        }
        vec![Fault::Missing {
            writer: self.writer.clone(),
            from: self.sequence + 1,
            to: next - 1,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::time::Timestamp;

    /// An event at this place, with another text in every field.
    fn entry(sequence: i64) -> Entry {
        Entry {
            id: format!("id-{sequence}"),
            writer: "w".into(),
            sequence,
            at: Timestamp(1_795_219_200_000),
            kind: "session.created".into(),
            actor: "user:1".into(),
            subject: Some("subject".into()),
            session: Some("session".into()),
            ip_address: "192.0.2.1".into(),
            user_agent: "Firefox".into(),
            request_id: "request".into(),
            detail: r#"{"a":1}"#.into(),
            link: String::new(),
        }
    }

    /// The events 1 to `last` of a writer, each with the link that stands beside it.
    fn chain(last: i64) -> Vec<(Entry, Option<[u8; 32]>)> {
        let mut previous = [0; 32];
        (1..=last)
            .map(|sequence| {
                let entry = entry(sequence);
                previous = entry.expected_link(&previous);
                (entry, Some(previous))
            })
            .collect()
    }

    /// What a walk finds from its start to the place of the event that was written last.
    fn faults(mut walk: Walk, events: &[(Entry, Option<[u8; 32]>)], last: i64) -> Vec<Fault> {
        let mut faults: Vec<Fault> = events
            .iter()
            .flat_map(|(entry, link)| walk.step(entry, *link))
            .collect();
        faults.extend(walk.end(last));
        faults
    }

    fn missing(from: i64, to: i64) -> Fault {
        Fault::Missing {
            writer: "w".into(),
            from,
            to,
        }
    }

    fn altered(sequence: i64) -> Fault {
        Fault::Altered {
            writer: "w".into(),
            sequence,
            id: format!("id-{sequence}"),
        }
    }

    #[test]
    fn a_walk_finds_what_is_missing_at_the_start_in_the_middle_and_at_the_end() {
        let whole = chain(5);
        let without = |places: &[i64]| {
            let kept: Vec<_> = whole
                .iter()
                .filter(|(entry, _)| !places.contains(&entry.sequence))
                .cloned()
                .collect();
            faults(Walk::from("w", 0, None), &kept, 5)
        };
        assert_eq!(without(&[]), []);
        assert_eq!(without(&[1]), [missing(1, 1)]);
        assert_eq!(without(&[3]), [missing(3, 3)]);
        assert_eq!(without(&[2, 3]), [missing(2, 3)]);
        assert_eq!(without(&[2, 4]), [missing(2, 2), missing(4, 4)]);
        assert_eq!(without(&[5]), [missing(5, 5)]);
        assert_eq!(without(&[1, 2, 3, 4, 5]), [missing(1, 5)]);
        // One that was noted nowhere as the last one is no fault.
        assert_eq!(faults(Walk::from("w", 0, None), &whole, 0), []);
    }

    #[test]
    fn a_walk_finds_what_was_altered_and_begins_after_what_was_deleted_for_its_age() {
        let whole = chain(4);
        let from_the_start = |events: &[_]| faults(Walk::from("w", 0, None), events, 4);
        let mut edited = whole.clone();
        edited[1].0.detail = r#"{"a":2}"#.into();
        assert_eq!(from_the_start(&edited), [altered(2)]);
        // A link that was computed again for the edited event breaks the one after it.
        edited[1].1 = Some(edited[1].0.expected_link(&whole[0].1.unwrap()));
        assert_eq!(from_the_start(&edited), [altered(3)]);
        let mut unreadable = whole.clone();
        unreadable[1].1 = None;
        assert_eq!(from_the_start(&unreadable), [altered(2)]);

        let after = |link| faults(Walk::from("w", 2, link), &whole[2..], 4);
        assert_eq!(after(whole[1].1), []);
        assert_eq!(after(whole[0].1), [altered(3)], "another link before it");
        assert_eq!(after(None), [], "the link before it is not known");
    }

    #[test]
    fn a_fault_says_which_event_of_whom() {
        let (writer, id) = ("w".to_owned(), "id-1".to_owned());
        for (fault, says) in [
            (missing(2, 2), "event 2 of w is missing"),
            (missing(2, 3), "events 2 to 3 of w are missing"),
            (
                Fault::Altered {
                    writer: writer.clone(),
                    sequence: 1,
                    id,
                },
                "event 1 of w (id-1) differs from what was written",
            ),
            (
                Fault::Unexplained {
                    writer: writer.clone(),
                    to: 3,
                },
                "events up to 3 of w are marked as deleted because of their age, which audit.retention does not explain",
            ),
            (
                Fault::NotThere {
                    writer: writer.clone(),
                    sequence: 1,
                },
                "event 1 of w is in the copy but not in the database",
            ),
            (
                Fault::Differs {
                    writer,
                    sequence: 1,
                },
                "event 1 of w differs from the one in the copy",
            ),
        ] {
            assert_eq!(fault.to_string(), says);
        }
    }
}
