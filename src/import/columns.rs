//! The columns of a file of CSV: which ones a format has rules for, and the values of one record.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ACCOUNTS, Unreadable, values};
use crate::model::import::draft::Draft;
use crate::model::import::reason::Reason;
use crate::model::kernel::time::Timestamp;

/// Makes a draft of a record.
type Parse = Box<dyn Fn(Record) -> Result<Draft, Reason> + Send>;

/// How a format reads the records.
pub(super) struct Parser {
    /// The columns that must be there.
    pub(super) required: Vec<String>,
    /// The columns that may be there.
    pub(super) known: Vec<String>,
    /// Columns that say nothing about a user here.
    pub(super) ignored: &'static [&'static str],
    /// Makes a draft of a record.
    pub(super) parse: Parse,
}

impl Parser {
    /// Makes the parser of a format with fixed columns.
    pub(super) fn of(
        required: &[&str],
        known: &[&str],
        ignored: &'static [&'static str],
        parse: impl Fn(Record) -> Result<Draft, Reason> + Send + 'static,
    ) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            required: owned(required),
            known: owned(known),
            ignored,
            parse: Box::new(parse),
        }
    }
}

/// The columns of a file, in their order.
pub(super) struct Columns(Arc<[String]>);

impl Columns {
    /// Checks a header.
    ///
    /// # Errors
    /// [`Unreadable::NotOfTheFormat`] for a column that lacks, is there twice or is unknown.
    pub(super) fn of(
        header: Vec<String>,
        parser: &Parser,
        drop: &BTreeSet<String>,
    ) -> Result<Self, Unreadable> {
        let refused = |text: String| Err(Unreadable::NotOfTheFormat(text));
        let mut seen = BTreeSet::new();
        for name in &header {
            if !seen.insert(name) {
                return refused(format!("the file has the column {name} twice"));
            }
            let has_rule = parser.required.contains(name)
                || parser.known.contains(name)
                || parser.ignored.contains(&name.as_str())
                || drop.contains(name);
            if !has_rule {
                return refused(format!(
                    "the file has the column {name}, for which there is no rule; --drop {name} leaves it out"
                ));
            }
        }
        if let Some(name) = parser.required.iter().find(|name| !seen.contains(name)) {
            return refused(format!("the file lacks the column {name}"));
        }
        let unknown = drop
            .iter()
            .find(|name| !seen.contains(name) && *name != ACCOUNTS);
        if let Some(name) = unknown {
            return refused(format!("the file has no column {name} to drop"));
        }
        // A column that is dropped has no name by which it could be taken.
        let names = header.into_iter().map(|name| {
            if drop.contains(&name) {
                String::new()
            } else {
                name
            }
        });
        Ok(Self(names.collect()))
    }

    /// Makes a record of its values.
    pub(super) fn record(&self, values: Vec<String>) -> Result<Record, Reason> {
        if values.len() == self.0.len() {
            Ok(Record {
                names: Arc::clone(&self.0),
                values,
            })
        } else {
            Err(Reason::FieldCount)
        }
    }
}

/// The values of one record, which are taken by the names of their columns.
pub(super) struct Record {
    names: Arc<[String]>,
    values: Vec<String>,
}

impl Record {
    /// Takes a value; an empty text if there is no such column.
    pub(super) fn text(&mut self, column: &str) -> String {
        let at = self.names.iter().position(|name| name == column);
        at.and_then(|at| self.values.get_mut(at))
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Takes a truth value.
    pub(super) fn truth(&mut self, column: &'static str) -> Result<bool, Reason> {
        values::truth(&self.text(column), column)
    }

    /// Takes a value with a time.
    pub(super) fn time(&mut self, column: &'static str) -> Result<Option<Timestamp>, Reason> {
        values::time(&self.text(column), column)
    }
}
