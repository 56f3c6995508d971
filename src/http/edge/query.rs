//! Query strings, in which a name may occur several times; the search of `/admin/list-users`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::flows::account::administer_users::{Column, Condition, Operand, Operator, Search};
use crate::model::kernel::time::Timestamp;

use super::error::{Error, Source};
use super::unchecked::{Closed, Problems, Unchecked};

/// The default number of rows in a page.
const PAGE: i64 = 100;
const MAX_PAGE: i64 = 1_000;

/// The decoded pairs of a query, and the problems of those that were read.
pub(in crate::http) struct Query {
    pairs: Vec<(String, String)>,
    problems: Problems,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            pairs: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            problems: Problems::new(Source::Query),
        })
    }
}

impl Query {
    /// Returns the first value of this name unchanged; an empty one counts as missing. Only for the
    /// checks of this folder.
    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(n, v)| n == name && !v.is_empty())
            .map(|(_, v)| v.as_str())
    }

    /// Returns whether there is a value of this name.
    pub(in crate::http) fn has(&self, name: &str) -> bool {
        self.peek(name).is_some()
    }

    /// Returns whether the value is `true` or `1`; anything else is `false` (contract section 17,
    /// 12).
    pub(in crate::http) fn flag(&self, name: &str) -> bool {
        matches!(self.peek(name), Some("true" | "1"))
    }

    /// Returns a whole number that is not negative; anything else is ignored, as Better Auth does.
    pub(in crate::http) fn number(&self, name: &str) -> Option<i64> {
        self.peek(name)?.parse().ok().filter(|n| *n >= 0)
    }

    /// Returns a value of at most `max` bytes; a longer one counts as missing. For tokens and
    /// codes, which cannot be valid if they are longer.
    pub(in crate::http) fn no_longer_than(&self, name: &str, max: usize) -> Option<&str> {
        self.peek(name).filter(|text| text.len() <= max)
    }

    /// Reads a text that may be missing.
    pub(in crate::http) fn text(&mut self, name: &str, max: usize) -> Unchecked<Option<String>> {
        let text = self.peek(name).map(ToOwned::to_owned);
        let is_good = text.as_ref().is_none_or(|text| text.chars().count() <= max);
        let problem = format!("is longer than {max} characters");
        self.problems.value(name, is_good.then_some(text), &problem)
    }

    /// Reads every text of this name.
    pub(in crate::http) fn texts(&mut self, name: &str, max: usize) -> Unchecked<Vec<String>> {
        let texts: Vec<String> = self.all(name).map(ToOwned::to_owned).collect();
        let is_good = texts.iter().all(|text| text.chars().count() <= max);
        let problem = format!("is longer than {max} characters");
        self.problems
            .value(name, is_good.then_some(texts), &problem)
    }

    /// Reads a text that must be there.
    pub(in crate::http) fn required(&mut self, name: &str, max: usize) -> Unchecked<String> {
        let text = self.text(name, max);
        self.problems.required(name, text, "is required")
    }

    /// Reads a value that may be missing; notes `problem` if it does not convert.
    pub(in crate::http) fn parsed<T>(
        &mut self,
        name: &str,
        problem: &str,
        convert: impl FnOnce(&str) -> Option<T>,
    ) -> Unchecked<Option<T>> {
        match self.peek(name).map(convert) {
            None => Unchecked::good(None),
            Some(value) => self.problems.value(name, value.map(Some), problem),
        }
    }

    /// Opens every field that was read, or refuses with every problem at once.
    ///
    /// # Errors
    /// [`Error::Validation`] with every problem.
    pub(in crate::http) fn finish<F: Closed>(&self, fields: F) -> Result<F::Values, Error> {
        self.problems.finish(fields)
    }

    /// Reads the page of users that the query describes.
    ///
    /// # Errors
    /// [`Error::Validation`] with every problem.
    pub(in crate::http) fn search(&mut self) -> Result<Search, Error> {
        let searched = self.searched();
        let filtered = self.filtered();
        let sort = self.column("sortBy", Column::CreatedAt);
        let descending = self.choice("sortDirection", &[("asc", false), ("desc", true)]);
        let (searched, filtered, sort, descending) =
            self.finish((searched, filtered, sort, descending))?;
        let limit = self
            .number("limit")
            .filter(|n| *n > 0)
            .unwrap_or(PAGE)
            .min(MAX_PAGE);
        Ok(Search {
            conditions: searched.into_iter().chain(filtered).collect(),
            sort,
            descending,
            limit,
            offset: self.number("offset").unwrap_or(0),
        })
    }

    fn searched(&mut self) -> Unchecked<Option<Condition>> {
        let Some(value) = self.peek("searchValue").map(ToOwned::to_owned) else {
            return Unchecked::good(None);
        };
        let columns = [("email", Column::Email), ("name", Column::Name)];
        let operators = [
            ("contains", Operator::Contains),
            ("starts_with", Operator::StartsWith),
            ("ends_with", Operator::EndsWith),
        ];
        let column = self.choice("searchField", &columns);
        let operator = self.choice("searchOperator", &operators);
        column.zip(operator).map(|(column, operator)| {
            Some(Condition {
                column,
                operator,
                values: vec![Operand::Text(value)],
            })
        })
    }

    fn filtered(&mut self) -> Unchecked<Option<Condition>> {
        let texts: Vec<String> = self.all("filterValue").map(ToOwned::to_owned).collect();
        if texts.is_empty() {
            return Unchecked::good(None);
        }
        let column = self.column("filterField", Column::Email);
        let operator = self.choice("filterOperator", &OPERATORS);
        let problem = "is not a value of this field";
        let both = column.zip(operator);
        self.problems
            .check("filterValue", both, problem, |(column, operator)| {
                let values = texts.iter().map(|text| operand(column, operator, text));
                Some(Some(Condition {
                    column,
                    operator,
                    values: values.collect::<Option<_>>()?,
                }))
            })
    }

    /// Reads one of these values; the first one if the query has none.
    fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Unchecked<T> {
        let said = self.peek(name);
        let found = words
            .iter()
            .find(|(word, _)| said.is_none_or(|s| s == *word))
            .map(|(_, value)| *value);
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let problem = format!("expected one of {}", all.join(", "));
        self.problems.value(name, found, &problem)
    }

    fn column(&mut self, name: &str, otherwise: Column) -> Unchecked<Column> {
        if self.has(name) {
            self.choice(name, &COLUMNS)
        } else {
            Unchecked::good(otherwise)
        }
    }
}

const COLUMNS: [(&str, Column); 11] = [
    ("id", Column::Id),
    ("email", Column::Email),
    ("emailVerified", Column::EmailVerified),
    ("name", Column::Name),
    ("image", Column::Image),
    ("role", Column::Role),
    ("banned", Column::Banned),
    ("banReason", Column::BanReason),
    ("banExpires", Column::BanExpires),
    ("createdAt", Column::CreatedAt),
    ("updatedAt", Column::UpdatedAt),
];

const OPERATORS: [(&str, Operator); 11] = [
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("lt", Operator::Lt),
    ("lte", Operator::Lte),
    ("gt", Operator::Gt),
    ("gte", Operator::Gte),
    ("in", Operator::In),
    ("not_in", Operator::NotIn),
    ("contains", Operator::Contains),
    ("starts_with", Operator::StartsWith),
    ("ends_with", Operator::EndsWith),
];

/// Converts a text to a value of the column.
fn operand(column: Column, operator: Operator, text: &str) -> Option<Operand> {
    let is_pattern = matches!(
        operator,
        Operator::Contains | Operator::StartsWith | Operator::EndsWith
    );
    if !column.is_number() {
        return Some(Operand::Text(text.to_owned()));
    }
    if is_pattern {
        return None;
    }
    let number = match text {
        "true" => Some(1),
        "false" => Some(0),
        _ => text
            .parse()
            .ok()
            .or_else(|| Timestamp::parse(text).map(|t| t.0)),
    };
    number.map(Operand::Number)
}
