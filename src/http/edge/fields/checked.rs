//! Reads members whose text has a type with a rule of its own in `model`.

use std::str::FromStr;

use serde_json::Value;

use super::Fields;
use crate::http::edge::unchecked::Unchecked;

impl Fields {
    /// Reads a text of a type with a rule of its own, such as a name; it may be missing.
    pub(in crate::http) fn checked_text<T>(&mut self, name: &str) -> Unchecked<Option<T>>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        match self.members.get(name) {
            None => Unchecked::good(None),
            Some(Value::String(text)) => match text.parse() {
                Ok(value) => Unchecked::good(Some(value)),
                Err(problem) => self.problems.note(name, &problem.to_string()),
            },
            Some(_) => self.problems.note(name, "expected a string"),
        }
    }

    /// Reads a text as [`Self::checked_text`] does; it must be there.
    pub(in crate::http) fn needed_text<T>(&mut self, name: &str) -> Unchecked<T>
    where
        T: FromStr + Default,
        T::Err: std::fmt::Display,
    {
        if !self.has(name) {
            return self.problems.note(name, "is required");
        }
        self.checked_text(name).or_default()
    }

    /// Reads a text as [`Self::checked_text`] does; `null` reads as an empty text.
    pub(in crate::http) fn text_or_null<T>(&mut self, name: &str) -> Unchecked<Option<T>>
    where
        T: FromStr + Default,
        T::Err: std::fmt::Display,
    {
        match self.members.get(name) {
            Some(Value::Null) => Unchecked::good(Some(T::default())),
            _ => self.checked_text(name),
        }
    }
}
