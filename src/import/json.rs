//! One object of JSON, whose members are taken one by one. What is left at the end is unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::values;
use crate::model::import::reason::Reason;
use crate::model::kernel::time::Timestamp;

/// The members that have not been taken yet. Those that the operator drops are as if they were not
/// there.
pub(super) struct Object {
    members: Map<String, Value>,
    drop: Arc<BTreeSet<String>>,
}

impl Object {
    /// Parses the text of a row.
    pub(super) fn parse(bytes: &[u8], drop: &Arc<BTreeSet<String>>) -> Result<Self, Reason> {
        let text = std::str::from_utf8(bytes).map_err(|_| Reason::NotUtf8)?;
        let value: Value =
            serde_json::from_str(text).map_err(|error| Reason::NotJson(error.to_string()))?;
        let Value::Object(members) = value else {
            return Err(Reason::NotJson("no object".into()));
        };
        let drop = Arc::clone(drop);
        Ok(Self { members, drop })
    }

    /// Makes the object of a member that holds one.
    pub(super) fn of(members: Map<String, Value>) -> Self {
        let drop = Arc::default();
        Self { members, drop }
    }

    /// Takes a member; null is as if it were not there.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let value = self.members.remove(name)?;
        (!value.is_null() && !self.drop.contains(name)).then_some(value)
    }

    /// Takes an object whose members can be dropped, too.
    pub(super) fn inner(&mut self, name: &'static str) -> Result<Self, Reason> {
        let members = self.object(name)?;
        let drop = Arc::clone(&self.drop);
        Ok(Self { members, drop })
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

    /// Takes a member with a time.
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
            Value::Object(members) => Ok(Self::of(members)),
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
            self.members.remove(*name);
        }
    }

    /// Refuses the row if a member is left that no rule names.
    pub(super) fn finish(self) -> Result<(), Reason> {
        let mut left = self.members.into_iter();
        match left.find(|(name, value)| !value.is_null() && !self.drop.contains(name)) {
            Some((name, _)) => Err(Reason::UnknownField(name)),
            None => Ok(()),
        }
    }
}
