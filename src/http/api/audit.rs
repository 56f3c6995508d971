//! `/admin/audit`: the audit trail for admins, newest first, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows::audit::read_audit;
use crate::flows::audit::read_audit::{Entry, Filter};
use crate::flows::permit::to;
use crate::http::edge::credentials::Authenticated;
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_FILTER;
use crate::http::edge::query::Query;
use crate::model::kernel::period::Moment;

/// The default and the greatest number of events in a page.
const PAGE: i64 = 100;

const MAX_PAGE: i64 = 1_000;

pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    Authenticated(who): Authenticated,
    mut query: Query,
) -> Result<Response, Error> {
    let permitted = who.require::<to::ReadAudit>(&app)?;
    let before = query.parsed("before", read_audit::NOT_A_PLACE, read_audit::place_of);
    let since = query.parsed("since", Moment::RULE, |text| text.parse::<Moment>().ok());
    let subject = query.text("userId", MAX_FILTER);
    let kind = query.text("kind", MAX_FILTER);
    let (before, since, subject, kind) = query.finish((before, since, subject, kind))?;
    let filter = Filter {
        subject,
        kind,
        since: since.map(|since| since.at(app.now())),
        before,
        ..Filter::default()
    };
    let limit = query
        .number("limit")
        .filter(|n| *n > 0)
        .unwrap_or(PAGE)
        .min(MAX_PAGE);
    let events = read_audit::list(&app, permitted, filter, limit).await?;
    let is_full = i64::try_from(events.len()).is_ok_and(|n| n == limit);
    let next = events.last().filter(|_| is_full).map(read_audit::place_at);
    let events: Vec<Value> = events.iter().map(view).collect();
    Ok(Json(json!({ "events": events, "next": next })).into_response())
}

fn view(e: &Entry) -> Value {
    json!({
        "id": e.id,
        "at": e.at,
        "kind": e.kind,
        "actor": e.actor,
        "userId": e.subject,
        "sessionId": e.session,
        "ipAddress": e.ip_address,
        "userAgent": e.user_agent,
        "requestId": e.request_id,
        "detail": serde_json::from_str::<Value>(&e.detail).unwrap_or(Value::Null),
    })
}
