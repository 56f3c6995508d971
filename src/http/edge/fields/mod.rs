//! Reads the members of a body, a form or an object in a body, one by one, and records every
//! problem. Unknown members are ignored (the Better Auth client sends additional ones), privileged
//! ones are refused.

mod checked;
mod numbers;

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::model::account::email::Email;

use super::error::{Error, Source};
use super::limits::{MAX_EMAIL, MAX_ID};
use super::unchecked::{Closed, Problems, Unchecked};

/// Members that only the server or an admin sets.
const PRIVILEGED: [&str; 15] = [
    "id",
    "role",
    "roles",
    "emailVerified",
    "twoFactorEnabled",
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

/// The members of a body or form; empty if there was none and none was needed.
#[derive(Debug)]
pub(in crate::http) struct Fields {
    members: Map<String, Value>,
    problems: Problems,
}

impl Fields {
    /// Takes the members of what was sent.
    pub(super) fn new(members: Map<String, Value>, source: Source) -> Self {
        Self {
            members,
            problems: Problems::new(source),
        }
    }

    /// Drops members that are `null`: on paths that Better Auth does not have they count as
    /// missing. (Paths of the Better Auth API refuse them, as Better Auth does.)
    pub(in crate::http) fn without_nulls(mut self) -> Self {
        self.members.retain(|_, value| !value.is_null());
        self
    }

    /// Reads a text that must be there.
    pub(in crate::http) fn text(&mut self, name: &str, max: usize) -> Unchecked<String> {
        if !self.has(name) {
            return self.problems.note(name, "is required");
        }
        self.optional_text(name, max).or_default()
    }

    /// Reads a text that must be there and not be empty; notes `problem` if it is either.
    pub(in crate::http) fn filled_text(
        &mut self,
        name: &str,
        max: usize,
        problem: &str,
    ) -> Unchecked<String> {
        let is_filled = self.peek(name).is_some();
        let text = self.text(name, max);
        if is_filled {
            text
        } else {
            self.problems.note(name, problem)
        }
    }

    /// Reads a text that may be missing; `null` is not a text and is refused.
    pub(in crate::http) fn optional_text(
        &mut self,
        name: &str,
        max: usize,
    ) -> Unchecked<Option<String>> {
        match self.members.get(name) {
            None => Unchecked::good(None),
            Some(Value::String(text)) if text.chars().count() <= max => {
                Unchecked::good(Some(text.clone()))
            }
            Some(Value::String(_)) => {
                let problem = format!("is longer than {max} characters");
                self.problems.note(name, &problem)
            }
            Some(_) => self.problems.note(name, "expected a string"),
        }
    }

    /// Reads an optional text of a field that Better Auth does not have; it may be `null`. Fields
    /// of Better Auth are read as it reads them.
    pub(in crate::http) fn text_or_nothing(
        &mut self,
        name: &str,
        max: usize,
    ) -> Unchecked<Option<String>> {
        match self.members.get(name) {
            Some(Value::Null) => Unchecked::good(None),
            _ => self.optional_text(name, max),
        }
    }

    /// Reads a text or a list of texts, which may be missing or `null`.
    pub(in crate::http) fn texts(&mut self, name: &str, max: usize) -> Unchecked<Vec<String>> {
        let items = match self.members.get(name) {
            None | Some(Value::Null) => return Unchecked::good(Vec::new()),
            Some(Value::Array(items)) => items.clone(),
            Some(one) => vec![one.clone()],
        };
        let text = |item: &Value| {
            let text = item.as_str()?;
            (text.chars().count() <= max).then(|| text.to_owned())
        };
        let texts: Option<Vec<String>> = items.iter().map(text).collect();
        // An empty one counts as missing, as in a form and in a query.
        let texts = texts.map(|all| all.into_iter().filter(|text| !text.is_empty()).collect());
        let problem = format!("expected a string of at most {max} characters, or several");
        self.problems.value(name, texts, &problem)
    }

    /// Reads a text that may be missing; `null` reads as an empty text.
    pub(in crate::http) fn nullable_text(
        &mut self,
        name: &str,
        max: usize,
    ) -> Unchecked<Option<String>> {
        match self.members.get(name) {
            Some(Value::Null) => Unchecked::good(Some(String::new())),
            _ => self.optional_text(name, max),
        }
    }

    /// Reads an email address that must be there.
    pub(in crate::http) fn email(&mut self, name: &str) -> Unchecked<Email> {
        let text = self.text(name, MAX_EMAIL);
        let email = text.map(|text| text.parse().ok());
        self.problems.required(name, email, "Invalid email address")
    }

    /// Reads the id of something that must be named, as a text or as a number (which Better Auth
    /// converts to a text). Returns `None` for a text that cannot be an id, so that nothing has it.
    pub(in crate::http) fn id<T: FromStr>(&mut self, name: &str) -> Unchecked<Option<T>> {
        let text = match self.members.get(name) {
            Some(Value::Number(number)) => Unchecked::good(number.to_string()),
            _ => self.text(name, MAX_ID),
        };
        text.map(|text| text.parse().ok())
    }

    /// Reads a text or a list of texts, such as a user's roles, joined by commas.
    pub(in crate::http) fn comma_joined(
        &mut self,
        name: &str,
        max: usize,
    ) -> Unchecked<Option<String>> {
        let Some(Value::Array(items)) = self.members.get(name) else {
            return self.optional_text(name, max);
        };
        let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
        let joined = texts
            .filter(|texts| texts.iter().map(|text| text.len()).sum::<usize>() <= max)
            .map(|texts| Some(texts.join(",")));
        let problem = "expected a string or an array of strings";
        self.problems.value(name, joined, problem)
    }

    /// Reads the members of an object; its problems are reported with those around it.
    pub(in crate::http) fn within<F>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> F,
    ) -> F {
        let members = match self.members.get(name) {
            Some(Value::Object(members)) => members.clone(),
            None => Map::new(),
            Some(_) => {
                let _ = self.problems.note::<()>(name, "expected an object");
                Map::new()
            }
        };
        let mut inner = Self::new(members, self.problems.source());
        let fields = read(&mut inner);
        self.problems.extend(inner.problems);
        fields
    }

    /// Reads the members of an object that must be there, as [`Self::within`] does.
    pub(in crate::http) fn required_within<F>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> F,
    ) -> F {
        let fields = self.within(name, read);
        if !self.members.get(name).is_some_and(Value::is_object) {
            let _ = self.problems.note::<()>(name, "is required");
        }
        fields
    }

    /// Reads an object without looking into it.
    pub(in crate::http) fn object(&mut self, name: &str) -> Unchecked<Option<Map<String, Value>>> {
        match self.members.get(name) {
            None => Unchecked::good(None),
            Some(Value::Object(members)) => Unchecked::good(Some(members.clone())),
            Some(_) => self.problems.note(name, "expected an object"),
        }
    }

    /// Reads a boolean that may be missing.
    pub(in crate::http) fn optional_bool(&mut self, name: &str) -> Unchecked<Option<bool>> {
        match self.members.get(name) {
            None => Unchecked::good(None),
            Some(value) => {
                let value = value.as_bool().map(Some);
                self.problems.value(name, value, "expected a boolean")
            }
        }
    }

    /// Notes "is required" for a field that was not sent.
    pub(in crate::http) fn required<T>(
        &mut self,
        name: &str,
        field: Unchecked<Option<T>>,
    ) -> Unchecked<T> {
        self.problems.required(name, field, "is required")
    }

    /// Converts a field; notes `problem` if its value does not convert.
    pub(in crate::http) fn check<T, U>(
        &mut self,
        name: &str,
        field: Unchecked<T>,
        problem: &str,
        convert: impl FnOnce(T) -> Option<U>,
    ) -> Unchecked<U> {
        self.problems.check(name, field, problem, convert)
    }

    /// Returns a text that is not empty, unchanged. Only for the checks of this folder: handlers
    /// read fields that `finish` opens.
    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        self.members
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// Returns a text as it was typed, only to be shown in the form again; empty if it is missing or
    /// too long.
    pub(in crate::http) fn as_typed(&self, name: &str, max: usize) -> String {
        self.peek(name)
            .filter(|text| text.chars().count() <= max)
            .unwrap_or_default()
            .to_owned()
    }

    /// Returns whether the form's own token passes the test.
    pub(in crate::http) fn has_token(&self, is_good: impl FnOnce(&str) -> bool) -> bool {
        self.peek("csrf").is_some_and(is_good)
    }

    /// Returns whether the member exists, whatever its value.
    pub(in crate::http) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Refuses members that clients may not set.
    ///
    /// # Errors
    /// [`Error::FieldNotAllowed`] for the first such member.
    pub(in crate::http) fn refuse_privileged(&self) -> Result<(), Error> {
        let found = PRIVILEGED.iter().find(|name| self.has(name));
        found.map_or(Ok(()), |name| {
            Err(Error::FieldNotAllowed((*name).to_owned()))
        })
    }

    /// Opens every field that was read, or refuses with every problem at once.
    ///
    /// # Errors
    /// [`Error::Validation`] with every problem.
    pub(in crate::http) fn finish<F: Closed>(self, fields: F) -> Result<F::Values, Error> {
        self.problems.finish(fields)
    }
}
