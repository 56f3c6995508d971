//! Events as sentences in the reader's language, with the names of the users whom they are about.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::App;
use crate::flows::account::administer_users as administer;
use crate::flows::account::administer_users::{Column, Condition, Operand, Operator, Search};
use crate::flows::audit::read_audit::Entry;
use crate::flows::permit::to;
use crate::model::account::user::User;
use crate::model::audit::story::{Named, Party, Story};

use super::pieces::{Piece, pieces, user_path};
use crate::http::edge::error::Error;
use crate::http::pages::device::device;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::visitor::SignedIn;

/// One event as it is shown.
pub(super) struct Row {
    pub(super) at: String,
    pub(super) sentence: Vec<Piece>,
    /// The IP address that the request came from; empty if unknown.
    pub(super) address: String,
    /// The device that the request came from; empty if unknown.
    pub(super) device: String,
    /// What the sentence leaves out: pairs of a label and a text.
    pub(super) facts: Vec<(String, String)>,
}

/// The users whom events name, by id.
type People = BTreeMap<String, User>;

/// Returns the events as they are shown. Users have names only for readers who may list users.
pub(super) async fn rows(
    app: &App,
    visitor: &SignedIn,
    events: &[Entry],
) -> Result<Vec<Row>, Error> {
    let people = people(app, visitor, events).await?;
    let page = &visitor.page;
    Ok(events
        .iter()
        .map(|event| row(page, &people, event))
        .collect())
}

async fn people(app: &App, visitor: &SignedIn, events: &[Entry]) -> Result<People, Error> {
    let ids: BTreeSet<String> = events
        .iter()
        .flat_map(|event| {
            let story = Story::of(event);
            story.users().map(ToOwned::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let Ok(permitted) = visitor.who.require::<to::ListUsers>(app) else {
        return Ok(People::new());
    };
    if ids.is_empty() {
        return Ok(People::new());
    }
    let limit = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let named = Condition {
        column: Column::Id,
        operator: Operator::In,
        values: ids.into_iter().map(Operand::Text).collect(),
    };
    let search = Search {
        conditions: vec![named],
        sort: Column::Id,
        descending: false,
        limit,
        offset: 0,
    };
    let (users, _) = administer::search(app, permitted, search).await?;
    let by_id = users.into_iter().map(|user| (user.id.to_string(), user));
    Ok(by_id.collect())
}

fn row(page: &Page, people: &People, event: &Entry) -> Row {
    let story = Story::of(event);
    let key = story.key();
    let text = match story.count() {
        Some(count) => page.words.plural(&key, count),
        None => page.t(&key),
    };
    let value = |name: &str| match story.value(name) {
        Named::Party(party) => person(page, people, &party),
        Named::Text(text) => Piece::text(text),
        Named::Words(keys) => Piece::text(words(page, &keys)),
        Named::At(time) => Piece::at(time),
        Named::Count(count) => Piece::text(page.words.number(count)),
        Named::Device(agent) => Piece::text(device(page, &agent)),
    };
    let described = |id: &str| {
        people
            .get(id)
            .map_or_else(|| id.to_owned(), |user| format!("{} ({id})", user.email))
    };
    let actor = match event.actor.strip_prefix("user:") {
        Some(id) => described(id),
        None => event.actor.clone(),
    };
    let subject = event.subject.as_deref().map(described);
    let detail = Some(event.detail.clone()).filter(|detail| detail != "{}");
    let facts = [
        ("audit.kind", Some(event.kind.clone())),
        ("audit.actor", Some(actor)),
        ("audit.user", subject),
        ("audit.session", event.session.clone()),
        ("audit.agent", Some(event.user_agent.clone())),
        ("audit.request", Some(event.request_id.clone())),
        ("audit.detail", detail),
    ];
    Row {
        at: moment(event.at),
        sentence: pieces(text, value),
        address: event.ip_address.clone(),
        device: device(page, &event.user_agent),
        facts: facts
            .into_iter()
            .filter_map(|(key, text)| Some((page.t(key).to_owned(), text?)))
            .filter(|(_, text)| !text.is_empty())
            .collect(),
    }
}

fn person(page: &Page, people: &People, party: &Party) -> Piece {
    match party {
        Party::User(id) => people.get(id).map_or_else(
            || Piece::text(id.clone()),
            |user| Piece::link(called(user), user_path(id)),
        ),
        Party::Visitor => Piece::text(page.t("party.visitor")),
        Party::Operator(name) => Piece::text(page.with("party.operator", "name", name)),
        Party::Schedule => Piece::text(page.t("party.schedule")),
        Party::Process => Piece::text(page.t("party.process")),
        Party::Unnamed => Piece::text(page.t("party.unnamed")),
        Party::Other(text) => Piece::text(text.clone()),
    }
}

/// Returns the name of a user, or the email address of one without a name.
fn called(user: &User) -> String {
    if user.name.trim().is_empty() {
        user.email.to_string()
    } else {
        user.name.clone()
    }
}

/// Returns texts of the catalogue with commas between them; a word that the catalogue lacks, as the
/// event holds it.
fn words(page: &Page, keys: &[String]) -> String {
    let word = |key: &String| {
        let text = page.t(key);
        let recorded = key.split_once('.').map_or("", |(_, name)| name);
        if text == key { recorded } else { text }.to_owned()
    };
    keys.iter().map(word).collect::<Vec<_>>().join(", ")
}
