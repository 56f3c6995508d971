//! `/auth/admin/audit`: the audit trail, newest first.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::audit::read_audit;
use crate::flows::audit::read_audit::{Entry, Filter};
use crate::flows::permit::to;

use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_FILTER;
use crate::http::edge::query::Query;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::visitor::SignedIn;

const PAGE: i64 = 50;

#[derive(Template)]
#[template(path = "pages/audit.html")]
struct Audit<'p> {
    p: &'p Page,
    kind: &'p str,
    user: &'p str,
    events: Vec<Row>,
    after: String,
}

struct Row {
    at: String,
    kind: String,
    actor: String,
    subject: String,
    address: String,
    detail: String,
}

fn row(event: &Entry) -> Row {
    Row {
        at: moment(event.at),
        kind: event.kind.clone(),
        actor: event.actor.clone(),
        subject: event.subject.clone().unwrap_or_default(),
        address: event.ip_address.clone(),
        detail: if event.detail == "{}" {
            String::new()
        } else {
            event.detail.clone()
        },
    }
}

pub(in crate::http::pages) async fn show(
    State(app): State<Arc<App>>,
    visitor: SignedIn,
    mut query: Query,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::ReadAudit>(&app)?;
    let kind = query.text("kind", MAX_FILTER);
    let user = query.text("user", MAX_FILTER);
    let before = query.parsed("before", read_audit::NOT_A_PLACE, read_audit::place_of);
    let (kind, user, before) = query.finish((kind, user, before))?;
    let filter = Filter {
        subject: user.clone(),
        kind: kind.clone(),
        before,
        ..Filter::default()
    };
    let (kind, user) = (
        kind.as_deref().unwrap_or_default(),
        user.as_deref().unwrap_or_default(),
    );
    let events = read_audit::list(&app, permitted, filter, PAGE).await?;
    let is_full = i64::try_from(events.len()).is_ok_and(|n| n == PAGE);
    let next = events.last().filter(|_| is_full).map(|last| {
        let place = read_audit::place_at(last);
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        format!(
            "/auth/admin/audit?{}",
            pairs
                .append_pair("kind", kind)
                .append_pair("user", user)
                .append_pair("before", &place)
                .finish()
        )
    });
    let shown = Audit {
        p: &visitor.page,
        kind,
        user,
        events: events.iter().map(row).collect(),
        after: next.unwrap_or_default(),
    };
    Ok(Page::answer(&shown, StatusCode::OK, ""))
}
