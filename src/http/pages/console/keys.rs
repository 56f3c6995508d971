//! `/auth/admin/keys`: the signing keys, what the state of each means and until when, and a button to
//! rotate now.

use std::cmp::Reverse;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::key::change_keys;
use crate::flows::key::inspect_keys;
use crate::flows::key::inspect_keys::LooksAtKeys;
use crate::flows::permit::{Permitted, to};
use crate::model::kernel::time::Timestamp;
use crate::model::key::algorithm::Algorithm;
use crate::model::key::key::{Key, Ring, State as KeyState};
use crate::model::key::slots::Slots;

use super::pieces::{Piece, pieces, segment};
use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_KEY_ID;
use crate::http::pages::form::Form;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::visitor::{SignedForm, SignedIn, see_other};

/// The number of former keys that are shown.
const FORMER: usize = 10;

#[derive(Template)]
#[template(path = "pages/keys.html")]
struct Keys<'p> {
    p: &'p Page,
    f: &'p Form,
    slots: Vec<Slot>,
    /// Whether there are keys of several algorithms.
    several: bool,
    former: Vec<Row>,
}

/// The published keys of one algorithm.
struct Slot {
    algorithm: &'static str,
    /// When its next rotation is, or from when on its first key signs.
    next: Vec<Piece>,
    /// The kid of the key that signs; empty if none does.
    active: String,
    rows: Vec<Row>,
}

struct Row {
    kid: String,
    algorithm: &'static str,
    state: &'static str,
    /// What the state means for signing and verifying, and until when.
    means: Vec<Piece>,
    published: String,
    revoke: String,
}

/// Returns the keys of the texts for the name of a state and for what it means.
fn words_of(key: &Key) -> (&'static str, &'static str) {
    match key.state {
        KeyState::Active => ("key.active", "key.active_means"),
        KeyState::Standby => ("key.standby", "key.standby_means"),
        KeyState::Retired => ("key.retired", "key.retired_means"),
        KeyState::Revoked if key.reason.as_ref().is_none_or(String::is_empty) => {
            ("key.revoked", "key.revoked_means")
        }
        KeyState::Revoked => ("key.revoked", "key.revoked_because"),
        KeyState::Removed => ("key.removed", "key.removed_means"),
    }
}

fn row(page: &Page, ring: &Ring, key: &Key) -> Row {
    let policy = &page.app.config.keys.policies.of(key.algorithm);
    let at = |time: Option<Timestamp>| time.map_or_else(|| Piece::text("–"), Piece::at);
    let (state, means) = words_of(key);
    let value = |name: &str| match name {
        "since" => at(key.activated_at),
        // The first key of an algorithm signs as soon as every verifier has it.
        "next" => at(ring.next_rotation(policy).or_else(|| ring.ripe_at(policy))),
        "ready" => Piece::at(key.published_at + policy.publish_before_use(ring)),
        "retired" => at(key.retired_at),
        "leaves" => at(key.leaves_at()),
        "ended" => at(key.ended_at),
        "reason" => Piece::text(key.reason.clone().unwrap_or_default()),
        _ => Piece::text(""),
    };
    Row {
        kid: key.kid.clone(),
        algorithm: key.algorithm.as_str(),
        state,
        means: pieces(page.t(means), value),
        published: moment(key.published_at),
        revoke: format!("/auth/admin/keys/{}/revoke", segment(&key.kid)),
    }
}

fn slot(page: &Page, keys: &Slots, algorithm: Algorithm) -> Slot {
    let policies = &page.app.config.keys.policies;
    let ring = keys.of(algorithm).cloned().unwrap_or_default();
    let opens = keys.opens_at(algorithm, policies);
    let next = ring.next_rotation(&policies.of(algorithm));
    let (text, at) = match (opens, next) {
        (Some(at), _) => ("keys.opens", Some(at)),
        (None, Some(at)) => ("keys.next", Some(at)),
        (None, None) => ("keys.no_next", None),
    };
    let published = ring.keys.iter().filter(|key| key.state.is_published());
    let mut published: Vec<&Key> = published.collect();
    published.sort_by_key(|key| key.state);
    let active = ring.in_state(KeyState::Active);
    Slot {
        algorithm: algorithm.as_str(),
        next: pieces(page.t(text), |_| {
            at.map_or_else(|| Piece::text(""), Piece::at)
        }),
        active: active.map(|key| key.kid.clone()).unwrap_or_default(),
        rows: published
            .into_iter()
            .map(|key| row(page, &ring, key))
            .collect(),
    }
}

fn page_of<A: LooksAtKeys>(
    visitor: &SignedIn,
    permitted: Permitted<'_, A>,
    form: &Form,
    refused: Option<Error>,
) -> Result<Response, Error> {
    let page = &visitor.page;
    let app = &page.app;
    let keys = inspect_keys::shown(app, permitted)?;
    let is_tombstone = |key: &&(&Ring, &Key)| !key.1.state.is_published();
    let all: Vec<(&Ring, &Key)> = keys
        .iter()
        .flat_map(|(_, ring)| ring.keys.iter().map(move |key| (ring, key)))
        .collect();
    let mut former: Vec<&(&Ring, &Key)> = all.iter().filter(is_tombstone).collect();
    former.sort_by_key(|(_, key)| Reverse(key.ended_at));
    let slots: Vec<Slot> = keys
        .published()
        .map(|(algorithm, _)| slot(page, &keys, algorithm))
        .collect();
    let shown = Keys {
        p: page,
        f: form,
        several: slots.len() > 1,
        slots,
        former: former
            .into_iter()
            .take(FORMER)
            .map(|(ring, key)| row(page, ring, key))
            .collect(),
    };
    Ok(match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    })
}

pub(in crate::http::pages) async fn show(
    State(app): State<Arc<App>>,
    visitor: SignedIn,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::ListKeys>(&app)?;
    page_of(&visitor, permitted, &Form::new("keys"), None)
}

/// Rotates, if the key that was shown is still the active one, so that a double click rotates once.
pub(in crate::http::pages) async fn rotate(
    State(app): State<Arc<App>>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::RotateKeys>(&app)?;
    let active = fields.text("active", MAX_KEY_ID);
    let active = fields.finish(active)?;
    match change_keys::rotate(&app, permitted, active, visitor.requester.clone()).await {
        Ok(_) => Ok(see_other("/auth/admin/keys?done=rotated")),
        Err(Refused::AlreadyRotated | Refused::KeyRefused(_)) => {
            let mut form = Form::new("keys");
            form.say(&visitor.page, "keys.too_early");
            page_of(&visitor, permitted, &form, Some(Error::KeysTooYoung))
        }
        Err(error) => Err(error.into()),
    }
}
