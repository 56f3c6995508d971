//! Checking the hash chain of one writer of the audit trail: a gap, an edit or a missing end is a
//! `Fault`.

use super::event::Entry;

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Events of a writer are not there.
    Missing {
        /// Whose.
        writer: String,
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// An event is not what was written, or does not stand where it was.
    Altered {
        /// Whose.
        writer: String,
        /// Where it stands.
        sequence: i64,
        /// Its id.
        id: String,
    },
    /// The front of a chain is marked as deleted because it was old, and the retention of the
    /// settings does not explain that.
    Unexplained {
        /// Whose.
        writer: String,
        /// The last event that is marked so.
        to: i64,
    },
    /// A copy kept elsewhere holds an event that the database does not.
    NotThere {
        /// Whose.
        writer: String,
        /// Its place.
        sequence: i64,
    },
    /// A copy kept elsewhere holds another event at this place.
    Differs {
        /// Whose.
        writer: String,
        /// Its place.
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
                    "events up to {to} of {writer} are marked as deleted for their age, which audit.retention does not explain"
                )
            }
            Self::NotThere { writer, sequence } => write!(
                f,
                "event {sequence} of {writer} is in the copy and not in the database"
            ),
            Self::Differs { writer, sequence } => {
                write!(f, "event {sequence} of {writer} is not the one in the copy")
            }
            Self::Altered {
                writer,
                sequence,
                id,
            } => write!(
                f,
                "event {sequence} of {writer} ({id}) is not what was written"
            ),
        }
    }
}

/// Walks a writer's chain, event by event in the order of their places.
#[derive(Debug, Clone)]
pub struct Walk {
    writer: String,
    sequence: i64,
    link: Option<[u8; 32]>,
}

impl Walk {
    /// From where the chain begins: after what was deleted because it was old.
    pub fn from(writer: &str, sequence: i64, link: Option<[u8; 32]>) -> Self {
        Self {
            writer: writer.to_owned(),
            sequence,
            link: link.or((sequence == 0).then_some([0; 32])),
        }
    }

    /// The next event; `link` is what stands beside it.
    pub fn step(&mut self, entry: &Entry, link: Option<[u8; 32]>) -> Vec<Fault> {
        let mut faults = self.gap(entry.sequence);
        // After a gap nobody knows the link before: what follows is held to what stands there.
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

    /// The end: the place of the last event that was written.
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
