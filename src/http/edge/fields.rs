//! The members of a body or of an object in it, typed one by one with every problem noted. Unknown
//! members are ignored (the Better Auth client sends extras), privileged ones are refused.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::kernel::time::Timestamp;

use super::error::Error;

/// A hundred years.
const MAX_SECONDS: u64 = 3_155_760_000;

/// What only the server or an admin sets.
const PRIVILEGED: [&str; 14] = [
    "id",
    "role",
    "roles",
    "emailVerified",
    "banned",
    "banReason",
    "banExpires",
    "disabledAt",
    "createdAt",
    "updatedAt",
    "metadata",
    "permissions",
    "sub",
    "version",
];

/// The members of a JSON body; empty if there was none and none was needed.
#[derive(Debug, Default)]
pub(in crate::http) struct Fields {
    members: Map<String, Value>,
    problems: BTreeMap<String, Vec<String>>,
}

impl Fields {
    /// These members.
    pub(in crate::http) fn new(members: Map<String, Value>) -> Self {
        Self {
            members,
            ..Self::default()
        }
    }

    /// Without the members that are `null`: on a path of our own such a member says nothing. (Paths
    /// of the Better Auth wire refuse it, as Better Auth does.)
    pub(in crate::http) fn without_nulls(mut self) -> Self {
        self.members.retain(|_, value| !value.is_null());
        self
    }

    /// A text that must be there.
    pub(in crate::http) fn text(&mut self, name: &str, max: usize) -> String {
        match self.members.get(name) {
            None => {
                self.problem(name, "is required");
                String::new()
            }
            Some(_) => self.optional_text(name, max).unwrap_or_default(),
        }
    }

    /// A text that may be missing; `null` is no text and is refused.
    pub(in crate::http) fn optional_text(&mut self, name: &str, max: usize) -> Option<String> {
        let value = self.members.get(name)?;
        let Value::String(text) = value else {
            self.problem(name, "expected a string");
            return None;
        };
        let text = text.clone();
        if text.chars().count() > max {
            self.problem(name, &format!("is longer than {max} characters"));
        }
        Some(text)
    }

    /// A text of a field of our own that may be missing; there `null` is nothing. Fields of Better
    /// Auth's are read as it reads them.
    pub(in crate::http) fn text_or_nothing(&mut self, name: &str, max: usize) -> Option<String> {
        self.members.get(name).filter(|value| !value.is_null())?;
        self.optional_text(name, max)
    }

    /// A text, empty for `null`, or missing.
    pub(in crate::http) fn nullable_text(&mut self, name: &str, max: usize) -> Option<String> {
        match self.members.get(name)? {
            Value::Null => Some(String::new()),
            _ => self.optional_text(name, max),
        }
    }

    /// A text or a list of texts.
    pub(in crate::http) fn texts(&mut self, name: &str, max: usize) -> Option<Vec<String>> {
        match self.members.get(name)? {
            Value::Array(items) => {
                let texts: Option<Vec<String>> = items
                    .iter()
                    .map(|item| item.as_str().map(ToOwned::to_owned))
                    .collect();
                if texts
                    .as_ref()
                    .is_none_or(|texts| texts.iter().map(String::len).sum::<usize>() > max)
                {
                    self.problem(name, "expected a string or an array of strings");
                }
                texts
            }
            _ => self.optional_text(name, max).map(|text| vec![text]),
        }
    }

    /// An object of its own, to be read in the same way.
    pub(in crate::http) fn record(&mut self, name: &str) -> Option<Self> {
        self.object(name).map(Self::new)
    }

    /// An object as it is.
    pub(in crate::http) fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        if let Value::Object(members) = self.members.get(name)? {
            return Some(members.clone());
        }
        self.problem(name, "expected an object");
        None
    }

    /// A whole number of seconds; `null` is none.
    pub(in crate::http) fn seconds(&mut self, name: &str) -> Option<u64> {
        let value = self.members.get(name).filter(|v| !v.is_null())?;
        let seconds = value.as_u64().filter(|s| *s <= MAX_SECONDS);
        if seconds.is_none() {
            self.problem(name, "expected a number of seconds");
        }
        seconds
    }

    /// How many: a whole number that is not negative; `null` is none.
    pub(in crate::http) fn count(&mut self, name: &str) -> Option<i64> {
        let value = self.members.get(name).filter(|v| !v.is_null())?;
        let count = value.as_i64().filter(|n| *n >= 0);
        if count.is_none() {
            self.problem(name, "expected a whole number");
        }
        count
    }

    /// A time, in the wire's form or as Unix milliseconds; `null` is none.
    pub(in crate::http) fn time(&mut self, name: &str) -> Option<Timestamp> {
        let value = self.members.get(name).filter(|v| !v.is_null())?;
        let time = value
            .as_i64()
            .and_then(Timestamp::from_outside)
            .or_else(|| value.as_str().and_then(Timestamp::parse));
        if time.is_none() {
            self.problem(
                name,
                "expected a time of the years 1970 to 9999, such as 2030-01-31T12:00:00.000Z",
            );
        }
        time
    }

    /// A text as it came, unchecked; an empty one is none.
    pub(in crate::http) fn peek(&self, name: &str) -> Option<&str> {
        self.members
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A text, or a number as Better Auth takes it for one.
    pub(in crate::http) fn text_or_number(&mut self, name: &str, max: usize) -> String {
        match self.members.get(name) {
            Some(Value::Number(number)) => number.to_string(),
            _ => self.text(name, max),
        }
    }

    /// Whether the member is there, whatever it holds.
    pub(in crate::http) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// True, false or missing.
    pub(in crate::http) fn optional_bool(&mut self, name: &str) -> Option<bool> {
        let value = self.members.get(name)?.as_bool();
        if value.is_none() {
            self.problem(name, "expected a boolean");
        }
        value
    }

    /// Notes a problem.
    pub(in crate::http) fn problem(&mut self, name: &str, message: &str) {
        self.problems
            .entry(name.to_owned())
            .or_default()
            .push(message.to_owned());
    }

    /// Refuses what clients do not set.
    pub(in crate::http) fn refuse_privileged(&self) -> Result<(), Error> {
        let found = PRIVILEGED
            .iter()
            .find(|name| self.members.contains_key(**name));
        found.map_or(Ok(()), |name| {
            Err(Error::FieldNotAllowed((*name).to_owned()))
        })
    }

    /// All problems at once, or none.
    pub(in crate::http) fn finish(self) -> Result<(), Error> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Validation(self.problems))
        }
    }
}
