//! A run over one file, and what it did about the rows.

use crate::model::import::judge::Verdict;
use crate::model::import::reason::Place;
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not reached the end of the file.
    Running,
    /// It has reached the end of the file.
    Done,
    /// What it brought was taken back.
    RolledBack,
}

impl State {
    /// Lists all states, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Running, Self::Done, Self::RolledBack];

    /// Returns the word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::RolledBack => "rolled_back",
        }
    }

    /// Parses a stored word; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The number of rows by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Users that were created.
    pub created: u64,
    /// Users who came with an earlier import.
    pub unchanged: u64,
    /// Rows that were linked to a user here.
    pub linked: u64,
    /// Rows that were left out as the operator asked.
    pub skipped: u64,
    /// Rows that were refused.
    pub refused: u64,
}

impl Counts {
    /// Counts a row by its verdict.
    pub fn add(&mut self, verdict: &Verdict) {
        let count = match verdict {
            Verdict::Create(_) => &mut self.created,
            Verdict::Unchanged(..) => &mut self.unchanged,
            Verdict::Link(_) => &mut self.linked,
            Verdict::Skip(_) => &mut self.skipped,
            Verdict::Refuse(_) => &mut self.refused,
        };
        *count += 1;
    }

    /// Returns the number of all rows.
    pub fn total(&self) -> u64 {
        self.created + self.unchanged + self.linked + self.skipped + self.refused
    }

    /// Returns whether carrying the rows out writes anything about users.
    pub fn changes_users(&self) -> bool {
        self.created + self.linked > 0
    }
}

/// A run over one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Id of the batch.
    pub id: EventId,
    /// The name of the source, within which ids are unique.
    pub source: String,
    /// SHA-256 of the file, in base64url.
    pub file_hash: String,
    /// The options of the import as JSON, without secrets.
    pub options: String,
    /// How far it is.
    pub state: State,
    /// The number of rows that were carried out.
    pub cursor: u64,
    /// The number of rows by verdict.
    pub counts: Counts,
    /// The actor who began it.
    pub actor: String,
    /// The time at which it began.
    pub started_at: Timestamp,
    /// When it reached the end of the file or was taken back.
    pub ended_at: Option<Timestamp>,
}

/// What was done about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoneRow {
    /// The number of the row in the file.
    pub number: u64,
    /// The line on which it begins.
    pub line: u64,
    /// `create`, `link`, `skip` or `refuse`.
    pub verdict: String,
    /// Why, or what of the row was left behind.
    pub reason: String,
    /// The user who was created or to whom the row was linked.
    pub user: Option<UserId>,
    /// The rows of `accounts` that a link added.
    pub added: Vec<EventId>,
}

impl DoneRow {
    /// Makes the row of a verdict, not yet with a user.
    pub fn of(place: Place, verdict: &Verdict) -> Self {
        Self {
            number: place.number,
            line: place.line,
            verdict: verdict.word().to_owned(),
            reason: verdict.reason(),
            user: None,
            added: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::import::reason::Reason;

    #[test]
    fn a_state_is_stored_by_a_word_that_reads_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("paused"), None);
    }

    #[test]
    fn every_row_is_counted_once() {
        let user = UserId::random([1; 16]);
        let mut counts = Counts::default();
        assert!(!counts.changes_users());
        for verdict in [
            Verdict::Unchanged(user, vec![]),
            Verdict::Skip(Reason::EmailTaken),
            Verdict::Refuse(Reason::NoEmail),
        ] {
            counts.add(&verdict);
        }
        assert!(!counts.changes_users());
        counts.add(&Verdict::Link(user));
        assert!(counts.changes_users());
        assert_eq!((counts.total(), counts.linked), (4, 1));
    }
}
