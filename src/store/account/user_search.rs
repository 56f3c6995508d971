//! Searches users by the columns and operators that an admin may name, and no others.

use sqlx::AssertSqlSafe;

use crate::model::account::user::User;

use super::users::{Row, user_columns};
use crate::store::{Conn, Result, on};

/// A column that can be searched, filtered and sorted by.
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
    /// When the ban ends or has ended: 0 without a ban, the greatest number for a ban without an
    /// end.
    BannedUntil,
    BanReason,
    BanExpires,
    /// 1 if the account is disabled, otherwise 0.
    Disabled,
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
            // One text, so that the search term may occur in either column.
            Self::EmailAndName => "(u.email || ' ' || u.name)",
            Self::Image => "u.image",
            Self::Role => "u.role",
            Self::Banned => "u.banned",
            Self::BannedUntil => {
                "(CASE WHEN u.banned = 0 THEN 0 ELSE COALESCE(u.ban_expires_at, 9223372036854775807) END)"
            }
            Self::BanReason => "u.ban_reason",
            Self::BanExpires => "u.ban_expires_at",
            Self::Disabled => "(CASE WHEN u.disabled_at IS NULL THEN 0 ELSE 1 END)",
            Self::CreatedAt => "u.created_at",
            Self::UpdatedAt => "u.updated_at",
        }
    }

    /// Returns whether its values are numbers (times are Unix milliseconds, booleans 0 and 1).
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Self::EmailVerified
                | Self::Banned
                | Self::BannedUntil
                | Self::Disabled
                | Self::BanExpires
                | Self::CreatedAt
                | Self::UpdatedAt
        )
    }
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// For a column of texts.
    Text(String),
    /// For a column of numbers.
    Number(i64),
}

/// How a column is compared with values.
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
    /// The column to compare.
    pub column: Column,
    /// The comparison to use.
    pub operator: Operator,
    /// The values to compare with; exactly one, except for `In` and `NotIn`.
    pub values: Vec<Value>,
}

/// A query for one page of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Conditions that all have to hold.
    pub conditions: Vec<Condition>,
    /// The column to sort by; ties are sorted by id.
    pub sort: Column,
    /// Whether the largest value comes first.
    pub descending: bool,
    /// The greatest number of users to return.
    pub limit: i64,
    /// The number of users to skip.
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

/// Returns the page, and the number of all users that match.
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
    // Texts and numbers of the caller are bound as parameters; the SQL consists of fixed parts.
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

/// Escapes the wildcards of `LIKE`.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}
