//! `/auth/admin/users`: the console's list of users.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::administer_users as administer;
use crate::flows::account::administer_users::{Column, Condition, Operand, Operator, Search};
use crate::flows::permit::{Grantable, to};
use crate::model::account::user::User;
use crate::model::kernel::time::Timestamp;

use super::pieces::user_path;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_FILTER, MAX_WORD};
use crate::http::edge::query::Query;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::visitor::{SignedIn, see_other};

const PAGE: i64 = 25;

/// Far more users than there are.
const MAX_OFFSET: i64 = 1 << 40;

#[derive(Template)]
#[template(path = "pages/users.html")]
struct Users<'p> {
    p: &'p Page,
    q: &'p str,
    /// The states to choose from: name, key of the label, and whether it is chosen.
    states: [(&'static str, &'static str, bool); 4],
    is_filtered: bool,
    /// Which users of how many are shown.
    range: String,
    rows: Vec<Row>,
    before: String,
    after: String,
}

struct Row {
    path: String,
    email: String,
    name: String,
    role: String,
    state: &'static str,
    verified: bool,
    since: String,
}

/// Returns the key of the text for a user's state.
pub(in crate::http::pages) fn state_of(user: &User, now: Timestamp) -> &'static str {
    if user.disabled_at.is_some() {
        "state.disabled"
    } else if user.is_banned(now) {
        "state.banned"
    } else {
        "state.active"
    }
}

/// Redirects to the first page of the console that this user may see.
pub(in crate::http::pages) async fn front(visitor: SignedIn) -> Result<Response, Error> {
    let links = visitor.page.navigation();
    let first = links
        .iter()
        .find(|(path, _)| path.starts_with("/auth/admin/"));
    first
        .map(|(path, _)| see_other(path))
        .ok_or_else(|| Refused::NotAllowed(to::ListUsers::ACTION).into())
}

/// Returns the conditions of a search: a part of the email address or the name, and a state.
fn conditions(q: &str, state: &str, now: Timestamp) -> Vec<Condition> {
    let compares = |column, operator, number| Condition {
        column,
        operator,
        values: vec![Operand::Number(number)],
    };
    let named = Condition {
        column: Column::EmailAndName,
        operator: Operator::Contains,
        values: vec![Operand::Text(q.to_owned())],
    };
    let named = (!q.is_empty()).then_some(named);
    let state = match state {
        "banned" => Some(compares(Column::BannedUntil, Operator::Gt, now.0)),
        "disabled" => Some(compares(Column::Disabled, Operator::Eq, 1)),
        "unverified" => Some(compares(Column::EmailVerified, Operator::Eq, 0)),
        _ => None,
    };
    named.into_iter().chain(state).collect()
}

/// Returns which users of how many a page shows, such as "26–50 of 3,412 users".
fn range(page: &Page, offset: i64, shown: usize, total: i64) -> String {
    let number = |number: i64| page.words.number(u64::try_from(number).unwrap_or(0));
    let shown = i64::try_from(shown).unwrap_or(0);
    let total = u64::try_from(total).unwrap_or(0);
    page.words
        .counted("users.range", total)
        .replace("{first}", &number(offset + shown.min(1)))
        .replace("{last}", &number(offset + shown))
}

pub(in crate::http::pages) async fn list(
    State(app): State<Arc<App>>,
    visitor: SignedIn,
    mut query: Query,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::ListUsers>(&app)?;
    let q = query.text("q", MAX_FILTER).or_default();
    let state = query.text("state", MAX_WORD).or_default();
    let (q, state) = query.finish((q, state))?;
    let (q, state) = (q.trim(), state.as_str());
    let offset = query.number("offset").unwrap_or(0).min(MAX_OFFSET);
    let now = app.now();
    let search = Search {
        conditions: conditions(q, state, now),
        sort: Column::CreatedAt,
        descending: true,
        limit: PAGE,
        offset,
    };
    let (users, total) = administer::search(&app, permitted, search).await?;
    let row = |user: &User| Row {
        path: user_path(&user.id.to_string()),
        email: user.email.to_string(),
        name: user.name.clone(),
        role: user.roles().join(", "),
        state: state_of(user, now),
        verified: user.email_verified,
        since: moment(user.created_at),
    };
    let at = |offset: i64| {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("q", q), ("state", state)] {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        pairs.append_pair("offset", &offset.to_string());
        format!("/auth/admin/users?{}", pairs.finish())
    };
    let states = [
        ("", "users.state_any"),
        ("banned", "users.state_banned"),
        ("disabled", "users.state_disabled"),
        ("unverified", "users.state_unverified"),
    ];
    let shown = Users {
        p: &visitor.page,
        q,
        states: states.map(|(name, key)| (name, key, name == state)),
        is_filtered: !q.is_empty() || !state.is_empty(),
        range: range(&visitor.page, offset, users.len(), total),
        rows: users.iter().map(row).collect(),
        before: if offset > 0 {
            at((offset - PAGE).max(0))
        } else {
            String::new()
        },
        after: if offset + PAGE < total {
            at(offset + PAGE)
        } else {
            String::new()
        },
    };
    Ok(Page::answer(&shown, StatusCode::OK, ""))
}
