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

use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_FILTER;
use crate::http::edge::query::Query;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::visitor::{SignedIn, see_other};

const PAGE: i64 = 25;

#[derive(Template)]
#[template(path = "pages/users.html")]
struct Users<'p> {
    p: &'p Page,
    q: &'p str,
    total: i64,
    rows: Vec<Row>,
    before: String,
    after: String,
}

struct Row {
    id: String,
    email: String,
    name: String,
    role: String,
    state: &'static str,
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

pub(in crate::http::pages) async fn list(
    State(app): State<Arc<App>>,
    visitor: SignedIn,
    mut query: Query,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::ListUsers>(&app)?;
    let q = query.text("q", MAX_FILTER).or_default();
    let q = query.finish(q)?;
    let q = q.trim();
    let offset = query.number("offset").unwrap_or(0);
    let wanted = Condition {
        column: Column::EmailAndName,
        operator: Operator::Contains,
        values: vec![Operand::Text(q.to_owned())],
    };
    let conditions = if q.is_empty() {
        Vec::new()
    } else {
        vec![wanted]
    };
    let search = Search {
        conditions,
        sort: Column::CreatedAt,
        descending: true,
        limit: PAGE,
        offset,
    };
    let (users, total) = administer::search(&app, permitted, search).await?;
    let now = app.now();
    let row = |user: &User| Row {
        id: user.id.to_string(),
        email: user.email.to_string(),
        name: user.name.clone(),
        role: user.role.clone(),
        state: state_of(user, now),
        since: moment(user.created_at),
    };
    let at = |offset: i64| {
        let pairs = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("q", q)
            .append_pair("offset", &offset.to_string())
            .finish();
        format!("/auth/admin/users?{pairs}")
    };
    let shown = Users {
        p: &visitor.page,
        q,
        total,
        rows: users.iter().map(row).collect(),
        before: if offset > 0 {
            at((offset - PAGE).max(0))
        } else {
            String::new()
        },
        after: if offset.saturating_add(PAGE) < total {
            at(offset + PAGE)
        } else {
            String::new()
        },
    };
    Ok(Page::answer(&shown, StatusCode::OK, ""))
}
