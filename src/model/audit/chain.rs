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
