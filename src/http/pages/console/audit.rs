//! `/auth/admin/audit`: the audit trail as sentences, newest first, by user, kind, time and network.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ipnet::IpNet;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::account::manage_users;
use crate::flows::audit::read_audit;
use crate::flows::audit::read_audit::{Entry, Filter};
use crate::flows::audit::search_audit;
use crate::flows::audit::search_audit::Found;
use crate::flows::permit::{Permitted, to};
use crate::model::audit::event::Kind;
use crate::model::kernel::period::Moment;
use crate::model::kernel::time::Timestamp;
use crate::model::limit::block;

use super::timeline;
use super::timeline::Row;
use crate::http::edge::error::Error;
use crate::http::edge::limits::{MAX_FILTER, MAX_WORD};
use crate::http::edge::query::Query;
use crate::http::pages::page::Page;
use crate::http::pages::visitor::SignedIn;

const PAGE: usize = 50;

/// The page begins after events of at most one day when a last day is chosen.
const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

#[derive(Template)]
#[template(path = "pages/audit.html")]
struct Audit<'p> {
    p: &'p Page,
    typed: Typed,
    /// The kinds to choose from: name, label, and whether it is chosen.
    kinds: Vec<(String, String, bool)>,
    /// What is wrong with the filter, in words; empty if nothing is.
    problem: String,
    is_filtered: bool,
    events: Vec<Row>,
    after: String,
    /// Whether the search ended before it had found a whole page.
    goes_on: bool,
}

/// The filter as it was typed.
#[derive(Default)]
struct Typed {
    user: String,
    kind: String,
    since: String,
    until: String,
    network: String,
}

impl Typed {
    fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("user", &self.user),
            ("kind", &self.kind),
            ("since", &self.since),
            ("until", &self.until),
            ("ip", &self.network),
        ]
    }
}

/// Returns the filter that was typed and the network, or the key of the text for what is wrong.
async fn filter_of(
    visitor: &SignedIn,
    typed: &Typed,
    before: Option<(Timestamp, String)>,
) -> Result<Result<(Filter, Option<IpNet>), &'static str>, Error> {
    let app = &visitor.page.app;
    let now = app.now();
    let day = |text: &str| text.parse::<Moment>().map(|day| day.at(now));
    let since = Some(typed.since.as_str()).filter(|text| !text.is_empty());
    let until = Some(typed.until.as_str()).filter(|text| !text.is_empty());
    let (Ok(since), Ok(until)) = (since.map(day).transpose(), until.map(day).transpose()) else {
        return Ok(Err("audit.bad_time"));
    };
    let network = Some(typed.network.as_str()).filter(|text| !text.is_empty());
    let Ok(network) = network.map(block::network).transpose() else {
        return Ok(Err("audit.bad_network"));
    };
    let subject = match subject_of(visitor, &typed.user).await {
        Ok(subject) => subject,
        Err(Refused::UserNotFound) => return Ok(Err("audit.unknown_user")),
        Err(error) => return Err(error.into()),
    };
    let filter = Filter {
        subject,
        kind: Some(typed.kind.clone()).filter(|kind| !kind.is_empty()),
        since,
        // The last day is part of what is shown.
        before: before.or_else(|| until.map(|until| (until + DAY, String::new()))),
        ..Filter::default()
    };
    Ok(Ok((filter, network)))
}

/// Returns the id of the user who was typed, by email address or id. Events of deleted users stay,
/// so an id counts without a user.
async fn subject_of(visitor: &SignedIn, typed: &str) -> Result<Option<String>, Refused> {
    let app = &visitor.page.app;
    if typed.is_empty() {
        return Ok(None);
    }
    if !typed.contains('@') {
        return Ok(Some(typed.to_owned()));
    }
    let permitted = visitor.who.require::<to::GetUser>(app)?;
    let user = manage_users::find(app, permitted, typed).await?;
    Ok(Some(user.id.to_string()))
}

async fn search(
    app: &App,
    permitted: Permitted<'_, to::ReadAudit>,
    filter: Filter,
    network: Option<IpNet>,
) -> Result<Found, Refused> {
    if let Some(network) = network {
        return search_audit::page_from_network(app, permitted, filter, network, PAGE).await;
    }
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let events = read_audit::list(app, permitted, filter, limit).await?;
    let next = events.last().filter(|_| events.len() == PAGE).cloned();
    Ok(Found { events, next })
}

fn kinds(page: &Page, chosen: &str) -> Vec<(String, String, bool)> {
    let mut kinds: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| {
            let (name, key) = (kind.as_str(), format!("kind.{}", kind.as_str()));
            (name.to_owned(), page.t(&key).to_owned(), name == chosen)
        })
        .collect();
    kinds.sort_by_key(|(_, label, _)| label.to_lowercase());
    // A prefix such as `session.` is accepted as well, and stays chosen.
    if !chosen.is_empty() && !kinds.iter().any(|(_, _, is_chosen)| *is_chosen) {
        kinds.push((chosen.to_owned(), chosen.to_owned(), true));
    }
    kinds
}

/// Returns the address of the page after this event.
fn after(typed: &Typed, last: &Entry) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in typed.pairs().iter().filter(|(_, value)| !value.is_empty()) {
        pairs.append_pair(name, value);
    }
    pairs.append_pair("before", &read_audit::place_at(last));
    format!("/auth/admin/audit?{}", pairs.finish())
}

pub(in crate::http::pages) async fn show(
    State(app): State<Arc<App>>,
    visitor: SignedIn,
    mut query: Query,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::ReadAudit>(&app)?;
    let user = query.text("user", MAX_FILTER).or_default();
    let kind = query.text("kind", MAX_FILTER).or_default();
    let since = query.text("since", MAX_WORD).or_default();
    let until = query.text("until", MAX_WORD).or_default();
    let network = query.text("ip", MAX_WORD).or_default();
    let before = query.parsed("before", read_audit::NOT_A_PLACE, read_audit::place_of);
    let (user, kind, since, until, network, before) =
        query.finish((user, kind, since, until, network, before))?;
    let trimmed = |text: String| text.trim().to_owned();
    let typed = Typed {
        user: trimmed(user),
        kind: trimmed(kind),
        since: trimmed(since),
        until: trimmed(until),
        network: trimmed(network),
    };
    let page = &visitor.page;
    let (found, problem) = match filter_of(&visitor, &typed, before).await? {
        Ok((filter, network)) => (search(&app, permitted, filter, network).await?, ""),
        Err(key) => {
            let none = Found {
                events: Vec::new(),
                next: None,
            };
            (none, key)
        }
    };
    let shown = Audit {
        p: page,
        kinds: kinds(page, &typed.kind),
        problem: if problem.is_empty() {
            String::new()
        } else {
            page.t(problem).to_owned()
        },
        is_filtered: typed.pairs().iter().any(|(_, value)| !value.is_empty()),
        events: timeline::rows(&app, &visitor, &found.events).await?,
        goes_on: found.next.is_some() && found.events.len() < PAGE,
        after: found
            .next
            .map_or_else(String::new, |last| after(&typed, &last)),
        typed,
    };
    let status = if shown.problem.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    Ok(Page::answer(&shown, status, ""))
}
