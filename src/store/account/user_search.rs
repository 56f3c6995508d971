//! Finding users by what is known of them: the columns and operators that an admin may name, and no
//! others.

use sqlx::AssertSqlSafe;

use crate::model::account::user::User;

use super::users::{Row, user_columns};
use crate::store::{Conn, Result, on};

/// A column that may be searched, filtered and sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the columns")]
pub enum Column {
    Id,
    Email,
    EmailVerified,
    Name,
    EmailAndName,
    Image,
    Role,
    Banned,
    BanReason,
    BanExpires,
    CreatedAt,
    UpdatedAt,
}

impl Column {
    fn sql(self) -> &'static str {
        match self {
            Self::Id => "u.id",
            Self::Email => "u.email",
            Self::EmailVerified => "u.email_verified",
            Self::Name => "u.name",
            // One text: what is looked for may stand in either.
            Self::EmailAndName => "(u.email || ' ' || u.name)",
            Self::Image => "u.image",
            Self::Role => "u.role",
            Self::Banned => "u.banned",
            Self::BanReason => "u.ban_reason",
            Self::BanExpires => "u.ban_expires_at",
            Self::CreatedAt => "u.created_at",
            Self::UpdatedAt => "u.updated_at",
        }
    }

    /// Whether its values are numbers (times are Unix milliseconds, booleans 0 and 1).
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Self::EmailVerified
                | Self::Banned
                | Self::BanExpires
                | Self::CreatedAt
                | Self::UpdatedAt
        )
    }
}

/// What is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// For a column of texts.
    Text(String),
    /// For a column of numbers.
    Number(i64),
}

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum Operator {
    Eq,
    Ne,
    Lt,
    Lte,
    Gt,
    Gte,
    In,
    NotIn,
    Contains,
    StartsWith,
    EndsWith,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which column.
    pub column: Column,
    /// How.
    pub operator: Operator,
    /// With what; one, but for `In` and `NotIn`.
    pub values: Vec<Value>,
}

/// A page of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// By which column; the id decides among equals.
    pub sort: Column,
    /// From the largest.
    pub descending: bool,
    /// At most so many.
    pub limit: i64,
    /// After so many.
    pub offset: i64,
}

macro_rules! bound {
    ($conn:expr, $sql:expr, $values:expr, $fetch:ident) => {
        on!($conn, c => {
            let mut query = sqlx::query_as(AssertSqlSafe($sql)).persistent(false);
            for value in $values {
                query = match value {
                    Value::Text(text) => query.bind(text.clone()),
                    Value::Number(number) => query.bind(*number),
                };
            }
            query.$fetch(c).await
        })?
    };
}

/// The page, and how many there are in all.
pub async fn search(conn: &mut Conn, search: &Search) -> Result<(Vec<User>, i64)> {
    let (clause, values) = clause(&search.conditions);
    let direction = if search.descending { "DESC" } else { "ASC" };
    let (limit, offset) = (search.limit, search.offset);
    let page = format!(
        concat!(
            "SELECT ",
            user_columns!(),
            " FROM users u {} ORDER BY {} {}, u.id {} LIMIT {} OFFSET {}"
        ),
        clause,
        search.sort.sql(),
        direction,
        direction,
        limit,
        offset
    );
    let total = format!("SELECT COUNT(*) FROM users u {clause}");
    // Texts and numbers of the searcher are bound; what is put together here are our own words
    // alone.
    let rows: Vec<Row> = bound!(conn, page, &values, fetch_all);
    let (total,): (i64,) = bound!(conn, total, &values, fetch_one);
    Ok((
        rows.into_iter()
            .map(User::try_from)
            .collect::<Result<_>>()?,
        total,
    ))
}

fn clause(conditions: &[Condition]) -> (String, Vec<Value>) {
    let (mut parts, mut values) = (vec!["u.deleted_at IS NULL".to_owned()], Vec::new());
    for Condition {
        column,
        operator,
        values: given,
    } in conditions
    {
        let name = column.sql();
        let mut mark = |value: Value| {
            values.push(value);
            format!("${}", values.len())
        };
        let like = |pattern: Option<String>, mark: &mut dyn FnMut(Value) -> String| {
            let pattern = pattern.unwrap_or_default().to_lowercase();
            format!(
                "LOWER({name}) LIKE {} ESCAPE '\\'",
                mark(Value::Text(pattern))
            )
        };
        let first = given.first().cloned();
        let text = first.as_ref().map(|v| match v {
            Value::Text(text) => escape(text),
            Value::Number(number) => number.to_string(),
        });
        parts.push(match operator {
            Operator::Contains => like(text.map(|t| format!("%{t}%")), &mut mark),
            Operator::StartsWith => like(text.map(|t| format!("{t}%")), &mut mark),
            Operator::EndsWith => like(text.map(|t| format!("%{t}")), &mut mark),
            Operator::In | Operator::NotIn => {
                let marks: Vec<String> = given.iter().cloned().map(mark).collect();
                let not = if *operator == Operator::NotIn {
                    "NOT "
                } else {
                    ""
                };
                format!("{name} {not}IN ({})", marks.join(", "))
            }
            compared => {
                let sign = match compared {
                    Operator::Ne => "<>",
                    Operator::Lt => "<",
                    Operator::Lte => "<=",
                    Operator::Gt => ">",
                    Operator::Gte => ">=",
                    _ => "=",
                };
                first.map_or_else(
                    || "1 = 0".to_owned(),
                    |value| format!("{name} {sign} {}", mark(value)),
                )
            }
        });
    }
    (format!("WHERE {}", parts.join(" AND ")), values)
}

/// What is meant as text is no wildcard.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}
