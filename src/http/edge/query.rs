//! Query strings: a name may stand several times; what `/admin/list-users` says in them.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::flows::account::administer_users::{Column, Condition, Operand, Operator, Search};
use crate::model::kernel::time::Timestamp;

use super::error::Error;

/// Rows of a page that does not say how many.
const PAGE: i64 = 100;
const MAX_PAGE: i64 = 1_000;

/// The pairs of a query, decoded.
pub(in crate::http) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        ))
    }
}

impl Query {
    /// The first of this name; an empty one is none.
    pub(in crate::http) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(n, v)| n == name && !v.is_empty())
            .map(|(_, v)| v.as_str())
    }

    /// Whether it says `true` or `1`; `false` is no (contract section 17, 12).
    pub(in crate::http) fn flag(&self, name: &str) -> bool {
        matches!(self.one(name), Some("true" | "1"))
    }

    /// A number; what is none is ignored, as Better Auth does.
    pub(in crate::http) fn number(&self, name: &str) -> Option<i64> {
        self.one(name)?.parse().ok().filter(|n| *n >= 0)
    }

    /// A page of users as the query describes it; complaints name every field.
    pub(in crate::http) fn search(&self) -> Result<Search, Error> {
        let mut problems = BTreeMap::new();
        let mut conditions = Vec::new();
        if let Some(value) = self.one("searchValue") {
            let column = self.choice(
                "searchField",
                &[("email", Column::Email), ("name", Column::Name)],
                &mut problems,
            );
            let operators = [
                ("contains", Operator::Contains),
                ("starts_with", Operator::StartsWith),
                ("ends_with", Operator::EndsWith),
            ];
            let operator = self.choice("searchOperator", &operators, &mut problems);
            conditions.push(Condition {
                column,
                operator,
                values: vec![Operand::Text(value.to_owned())],
            });
        }
        if self.one("filterValue").is_some() {
            let column = self.column("filterField", Column::Email, &mut problems);
            let operator = self.choice("filterOperator", &OPERATORS, &mut problems);
            let values: Option<Vec<Operand>> = self
                .all("filterValue")
                .map(|text| operand(column, operator, text))
                .collect();
            match values {
                Some(values) => conditions.push(Condition {
                    column,
                    operator,
                    values,
                }),
                None => note(&mut problems, "filterValue", "is no value of this field"),
            }
        }
        let sort = self.column("sortBy", Column::CreatedAt, &mut problems);
        let descending = self.choice(
            "sortDirection",
            &[("asc", false), ("desc", true)],
            &mut problems,
        );
        if !problems.is_empty() {
            return Err(Error::Validation(problems));
        }
        let limit = self
            .number("limit")
            .filter(|n| *n > 0)
            .unwrap_or(PAGE)
            .min(MAX_PAGE);
        Ok(Search {
            conditions,
            sort,
            descending,
            limit,
            offset: self.number("offset").unwrap_or(0),
        })
    }

    /// One of these words, the first if none is said.
    fn choice<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
        problems: &mut BTreeMap<String, Vec<String>>,
    ) -> T {
        let said = self.one(name);
        let found = words
            .iter()
            .find(|(word, _)| said.is_none_or(|s| s == *word));
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            note(
                problems,
                name,
                &format!("expected one of {}", all.join(", ")),
            );
        }
        found.unwrap_or(&words[0]).1
    }

    fn column(
        &self,
        name: &str,
        otherwise: Column,
        problems: &mut BTreeMap<String, Vec<String>>,
    ) -> Column {
        if self.one(name).is_none() {
            otherwise
        } else {
            self.choice(name, &COLUMNS, problems)
        }
    }
}

fn note(problems: &mut BTreeMap<String, Vec<String>>, name: &str, message: &str) {
    problems
        .entry(name.to_owned())
        .or_default()
        .push(message.to_owned());
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

/// A text as a value of the column.
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
