//! `/auth/admin/audit`: the audit trail, newest first.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::audit::read_audit;
use crate::flows::audit::read_audit::{Entry, Filter};
use crate::flows::authority::Authority;
use crate::model::account::permission::Action;

use crate::http::api::audit::place_of;
use crate::http::edge::error::Error;
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
    query: Query,
) -> Result<Response, Error> {
    let by = Authority::Session(&visitor.who);
    by.may(&app, Action::ReadAudit)?;
    let (kind, user) = (
        query.one("kind").unwrap_or_default(),
        query.one("user").unwrap_or_default(),
    );
    let text = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
    let before = query
        .one("before")
        .map(|place| {
            place_of(place).ok_or_else(|| Error::invalid("before", "is no `next` of a page"))
        })
        .transpose()?;
    let filter = Filter {
        subject: text(user),
        kind: text(kind),
        before,
        ..Filter::default()
    };
    let events = read_audit::list(&app, by, filter, PAGE).await?;
    let is_full = i64::try_from(events.len()).is_ok_and(|n| n == PAGE);
    let next = events.last().filter(|_| is_full).map(|last| {
        let place = format!("{}.{}", last.at.0, last.id);
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
