//! Fields that are read from a request before it is known whether the whole request is valid.
//!
//! A handler reads each field as [`Unchecked`] and opens all of them at once with `finish` of what
//! they were read from. So every problem is reported in one answer, and a field that is missing,
//! too long or malformed can never be used.

use std::collections::BTreeMap;

use super::error::{Error, Source};

/// A field that was read: its value, or nothing if its problem has been recorded. Only
/// [`Problems::finish`] opens it.
///
/// It has no `Debug`, because it may hold a password.
#[must_use = "only `finish` of the body, form or query opens a field"]
pub(in crate::http) struct Unchecked<T>(Option<T>);

impl<T> Unchecked<T> {
    /// Wraps a value that has no problem.
    pub(super) fn good(value: T) -> Self {
        Self(Some(value))
    }

    /// Converts the value, if there is one.
    pub(in crate::http) fn map<U>(self, convert: impl FnOnce(T) -> U) -> Unchecked<U> {
        Unchecked(self.0.map(convert))
    }

    /// Joins two fields into one.
    pub(in crate::http) fn zip<U>(self, other: Unchecked<U>) -> Unchecked<(T, U)> {
        Unchecked(self.0.zip(other.0))
    }
}

impl<T> Unchecked<Option<T>> {
    /// Replaces a value that was not sent.
    pub(in crate::http) fn or(self, value: T) -> Unchecked<T> {
        self.map(|sent| sent.unwrap_or(value))
    }

    /// Drops a value that the test does not accept, as if it had not been sent.
    pub(in crate::http) fn filter(self, accepts: impl FnOnce(&T) -> bool) -> Self {
        self.map(|sent| sent.filter(accepts))
    }
}

impl<T: Default> Unchecked<Option<T>> {
    /// Replaces a value that was not sent with the type's default.
    pub(in crate::http) fn or_default(self) -> Unchecked<T> {
        self.map(Option::unwrap_or_default)
    }
}

/// The problems of one request, by field.
#[derive(Debug)]
pub(in crate::http) struct Problems {
    source: Source,
    by_field: BTreeMap<String, Vec<String>>,
}

impl Problems {
    /// Starts an empty list for the fields of `source`.
    pub(in crate::http) fn new(source: Source) -> Self {
        Self {
            source,
            by_field: BTreeMap::new(),
        }
    }

    /// Returns the source of the fields.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Records a problem and returns the field without a value.
    pub(in crate::http) fn note<T>(&mut self, name: &str, problem: &str) -> Unchecked<T> {
        self.by_field
            .entry(name.to_owned())
            .or_default()
            .push(problem.to_owned());
        Unchecked(None)
    }

    /// Wraps a value; records `problem` if there is none.
    pub(in crate::http) fn value<T>(
        &mut self,
        name: &str,
        value: Option<T>,
        problem: &str,
    ) -> Unchecked<T> {
        match value {
            Some(value) => Unchecked::good(value),
            None => self.note(name, problem),
        }
    }

    /// Converts a field that has a value; records `problem` if the value does not convert.
    pub(in crate::http) fn check<T, U>(
        &mut self,
        name: &str,
        field: Unchecked<T>,
        problem: &str,
        convert: impl FnOnce(T) -> Option<U>,
    ) -> Unchecked<U> {
        match field.0 {
            Some(value) => self.value(name, convert(value), problem),
            None => Unchecked(None),
        }
    }

    /// Records `problem` for a field that was not sent or that has a problem already.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        field: Unchecked<Option<T>>,
        problem: &str,
    ) -> Unchecked<T> {
        self.value(name, field.0.flatten(), problem)
    }

    /// Returns the latest problem of a field.
    pub(in crate::http) fn latest(&self, name: &str) -> Option<&str> {
        self.by_field.get(name)?.last().map(String::as_str)
    }

    /// Adds the problems of an object inside a body, under the same names.
    pub(super) fn extend(&mut self, inner: Self) {
        for (name, problems) in inner.by_field {
            self.by_field.entry(name).or_default().extend(problems);
        }
    }

    /// Returns the error that names every problem, or `None` if there is none.
    pub(in crate::http) fn refusal(&self) -> Option<Error> {
        (!self.by_field.is_empty()).then(|| Error::Validation(self.source, self.by_field.clone()))
    }

    /// Opens every field, or refuses with every problem at once.
    ///
    /// # Errors
    /// [`Error::Validation`] if any field that was read has a problem, whether or not it is among
    /// `fields`.
    pub(in crate::http) fn finish<F: Closed>(&self, fields: F) -> Result<F::Values, Error> {
        match (self.refusal(), fields.open(&Key(()))) {
            (None, Some(values)) => Ok(values),
            (Some(refusal), _) => Err(refusal),
            // A field of another request: its problem is in the other list.
            (None, None) => Err(Error::Validation(self.source, BTreeMap::new())),
        }
    }
}

/// A token that is needed to open a field; only this file can make one.
pub(in crate::http) struct Key(());

/// One field, or a tuple or array of fields, that [`Problems::finish`] opens.
pub(in crate::http) trait Closed {
    /// The values of the fields.
    type Values;
    /// Returns the values if every field has one.
    fn open(self, key: &Key) -> Option<Self::Values>;
}

impl Closed for () {
    type Values = ();
    fn open(self, _: &Key) -> Option<()> {
        Some(())
    }
}

impl<T> Closed for Unchecked<T> {
    type Values = T;
    fn open(self, _: &Key) -> Option<T> {
        self.0
    }
}

impl<F: Closed, const N: usize> Closed for [F; N] {
    type Values = Vec<F::Values>;
    fn open(self, key: &Key) -> Option<Self::Values> {
        self.into_iter().map(|field| field.open(key)).collect()
    }
}

macro_rules! tuples {
    ($(($($field:ident $at:tt),+))+) => {$(
        impl<$($field: Closed),+> Closed for ($($field,)+) {
            type Values = ($($field::Values,)+);
            fn open(self, key: &Key) -> Option<Self::Values> {
                Some(($(self.$at.open(key)?,)+))
            }
        }
    )+};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::error::{Error, Source};
    use super::super::fields::Fields;
    use super::Problems;

    fn body(members: serde_json::Value) -> Fields {
        let serde_json::Value::Object(members) = members else {
            panic!("{members} is not an object");
        };
        Fields::new(members, Source::Body)
    }

    fn message(refused: Result<impl Sized, Error>) -> String {
        match refused {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.message(),
        }
    }

    #[test]
    fn good_fields_open_together() {
        let mut body = body(json!({ "name": "Ana", "count": 3 }));
        let (name, count) = (body.text("name", 8), body.count("count"));
        let opened = body.finish((name, count)).unwrap();
        assert_eq!(opened, ("Ana".to_owned(), Some(3)));
    }

    #[test]
    fn a_field_that_is_missing_or_too_long_keeps_every_field_closed() {
        let mut body = body(json!({ "name": "Ana", "image": "123456789" }));
        let name = body.text("name", 8);
        let image = body.text("image", 8);
        let email = body.text("email", 8);
        assert_eq!(
            message(body.finish((name, image, email))),
            "[body.email] is required; [body.image] is longer than 8 characters"
        );
    }

    #[test]
    fn the_problem_of_a_field_that_is_not_opened_refuses_too() {
        let mut body = body(json!({ "name": "Ana", "image": 1 }));
        let name = body.text("name", 8);
        let _unused = body.text("image", 8);
        assert_eq!(message(body.finish(name)), "[body.image] expected a string");
    }

    #[test]
    fn the_list_of_another_request_does_not_open_a_field() {
        let mut body = body(json!({}));
        let name = body.text("name", 8);
        let other = Problems::new(Source::Body);
        assert_eq!(message(other.finish(name)), "");
    }

    #[test]
    fn an_object_inside_a_body_tells_its_problems_with_the_others() {
        let mut body = body(json!({ "data": { "image": 1 } }));
        let name = body.text("name", 8);
        let image = body.within("data", |data| data.optional_text("image", 8));
        assert_eq!(
            message(body.finish((name, image))),
            "[body.image] expected a string; [body.name] is required"
        );
    }

    #[test]
    fn a_problem_names_where_its_field_stands() {
        for (source, expected) in [
            (Source::Body, "[body.x] is required"),
            (Source::Query, "[query.x] is required"),
            (Source::Form, "[form.x] is required"),
        ] {
            let mut problems = Problems::new(source);
            let field = problems.value::<()>("x", None, "is required");
            assert_eq!(message(problems.finish(field)), expected);
        }
    }
}
