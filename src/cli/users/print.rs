//! `users list` and `users show`: print accounts.

use serde_json::{Value, json};

use crate::app::App;
use crate::cli::{Output, Result, output};
use crate::flows::account::administer_users::{self, Column, Condition, Operand, Operator, Search};
use crate::flows::permit::Permitted;
use crate::model::account::user::User;
use crate::model::kernel::time::Timestamp;

/// Returns a page of users whose email address contains a text, and who have a role.
pub(super) async fn found(
    app: &App,
    search: Option<String>,
    role: Option<String>,
    limit: u32,
    offset: u32,
) -> Result<Vec<User>> {
    let contains = |(column, text): (Column, Option<String>)| {
        text.map(|text| Condition {
            column,
            operator: Operator::Contains,
            values: vec![Operand::Text(text)],
        })
    };
    let conditions = [(Column::Email, search), (Column::Role, role)]
        .into_iter()
        .filter_map(contains)
        .collect();
    let page = Search {
        conditions,
        sort: Column::CreatedAt,
        descending: false,
        limit: limit.into(),
        offset: offset.into(),
    };
    Ok(
        administer_users::search(app, Permitted::as_operator(), page)
            .await?
            .0,
    )
}

pub(super) fn list(now: Timestamp, format: Output, users: &[User]) {
    let rows: Vec<_> = users
        .iter()
        .map(|u| {
            vec![
                json!(u.id),
                json!(u.email),
                json!(u.name),
                json!(u.role),
                json!(state(now, u)),
                json!(u.created_at),
            ]
        })
        .collect();
    output::rows(
        format,
        &["id", "email", "name", "role", "state", "createdAt"],
        &rows,
    );
}

pub(super) fn show(now: Timestamp, format: Output, u: &User) {
    output::object(
        format,
        &[
            ("id", json!(u.id)),
            ("email", json!(u.email)),
            ("emailVerified", json!(u.email_verified)),
            ("name", json!(u.name)),
            ("role", json!(u.role)),
            ("state", json!(state(now, u))),
            (
                "metadata",
                Value::String(Value::Object(u.metadata.clone()).to_string()),
            ),
            ("createdAt", json!(u.created_at)),
            ("updatedAt", json!(u.updated_at)),
        ],
    );
}

fn state(now: Timestamp, user: &User) -> &'static str {
    match (user.disabled_at, user.is_banned(now)) {
        (Some(_), _) => "disabled",
        (None, true) => "banned",
        (None, false) => "active",
    }
}
