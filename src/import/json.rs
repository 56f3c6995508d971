//! One object of JSON, whose members are taken one by one. What is left at the end is unknown.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::values;
use crate::model::import::reason::Reason;
use crate::model::kernel::time::Timestamp;

/// The members that have not been taken yet.
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Parses a row and leaves out the members that the operator drops.
    pub(super) fn parse(bytes: &[u8], drop: &BTreeSet<String>) -> Result<Self, Reason> {
        let text = std::str::from_utf8(bytes).map_err(|_| Reason::NotUtf8)?;
        let value: Value =
            serde_json::from_str(text).map_err(|error| Reason::NotJson(error.to_string()))?;
        let Value::Object(mut members) = value else {
            return Err(Reason::NotJson("no object".into()));
        };
        for name in drop {
            members.remove(name);
        }
        Ok(Self(members))
    }

    /// Makes the object of a member that holds one.
    pub(super) fn of(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// Takes a member; null is as if it were not there.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text; a number becomes its digits, because ids are either.
    pub(super) fn text(&mut self, name: &'static str) -> Result<String, Reason> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(Reason::InvalidField(name)),
        }
    }

    /// Takes a truth value; `None` if it is not there.
    pub(super) fn truth(&mut self, name: &'static str) -> Result<Option<bool>, Reason> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(is)) => Ok(Some(is)),
            Some(_) => Err(Reason::InvalidField(name)),
        }
    }

    /// Takes a time.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Reason> {
        values::json_time(self.take(name).as_ref(), name)
    }

    /// Takes an object; an empty one if it is not there.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Map<String, Value>, Reason> {
        match self.take(name) {
            None => Ok(Map::new()),
            Some(Value::Object(members)) => Ok(members),
            Some(_) => Err(Reason::InvalidField(name)),
        }
    }

    /// Takes a list; an empty one if it is not there.
    pub(super) fn list(&mut self, name: &'static str) -> Result<Vec<Value>, Reason> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(Reason::InvalidField(name)),
        }
    }

    /// Takes a list of objects; an empty one if it is not there.
    pub(super) fn objects(&mut self, name: &'static str) -> Result<Vec<Self>, Reason> {
        let object = |item| match item {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(Reason::InvalidField(name)),
        };
        self.list(name)?.into_iter().map(object).collect()
    }

    /// Takes a list of texts; an empty one if it is not there.
    pub(super) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, Reason> {
        let text = |item| match item {
            Value::String(text) => Ok(text),
            _ => Err(Reason::InvalidField(name)),
        };
        self.list(name)?.into_iter().map(text).collect()
    }

    /// Leaves out members that say nothing about a user here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.0.remove(*name);
        }
    }

    /// Refuses the row if a member is left that no rule names.
    pub(super) fn finish(self) -> Result<(), Reason> {
        let known = |value: &Value| value.is_null();
        match self.0.into_iter().find(|(_, value)| !known(value)) {
            Some((name, _)) => Err(Reason::UnknownField(name)),
            None => Ok(()),
        }
    }
}
