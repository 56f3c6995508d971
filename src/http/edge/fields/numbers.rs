//! Reads members that hold a number or a time.

use serde_json::Value;

use super::Fields;
use crate::http::edge::unchecked::Unchecked;
use crate::model::kernel::period::Period;
use crate::model::kernel::time::Timestamp;

impl Fields {
    /// Reads a whole number of seconds, at most a hundred years; `null` counts as missing.
    pub(in crate::http) fn seconds(&mut self, name: &str) -> Unchecked<Option<u64>> {
        let read = |value: &Value| value.as_u64().filter(|s| *s <= Period::LONGEST.as_secs());
        self.optional(name, "expected a number of seconds", read)
    }

    /// Reads a whole number that is not negative; `null` counts as missing.
    pub(in crate::http) fn count(&mut self, name: &str) -> Unchecked<Option<i64>> {
        let read = |value: &Value| value.as_i64().filter(|n| *n >= 0);
        self.optional(name, "expected a whole number", read)
    }

    /// Reads a time, as ISO 8601 or as Unix milliseconds; `null` counts as missing.
    pub(in crate::http) fn time(&mut self, name: &str) -> Unchecked<Option<Timestamp>> {
        self.optional(
            name,
            "expected a time in the years 1970 to 9999, such as 2030-01-31T12:00:00.000Z",
            |value| {
                value
                    .as_i64()
                    .and_then(Timestamp::from_outside)
                    .or_else(|| value.as_str().and_then(Timestamp::parse))
            },
        )
    }

    fn optional<T>(
        &mut self,
        name: &str,
        problem: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Unchecked<Option<T>> {
        match self.members.get(name).filter(|value| !value.is_null()) {
            None => Unchecked::good(None),
            Some(value) => self.problems.value(name, read(value).map(Some), problem),
        }
    }
}
