//! `/auth/admin/keys`: the states of the signing keys, the time of the next rotation, and a button
//! to rotate now.

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
use crate::model::key::key::{Key, State as KeyState};

use crate::http::edge::error::Error;
use crate::http::edge::limits::MAX_KEY_ID;
use crate::http::pages::form::Form;
use crate::http::pages::page::{Page, moment};
use crate::http::pages::visitor::{SignedForm, SignedIn, see_other};

#[derive(Template)]
#[template(path = "pages/keys.html")]
struct Keys<'p> {
    p: &'p Page,
    f: &'p Form,
    next: String,
    active: String,
    rows: Vec<Row>,
}

struct Row {
    kid: String,
    state: &'static str,
    published: String,
    activated: String,
    leaves: String,
}

fn row(key: &Key) -> Row {
    let at = |time: Option<Timestamp>| time.map_or_else(|| "–".to_owned(), moment);
    let state = match key.state {
        KeyState::Active => "key.active",
        KeyState::Standby => "key.standby",
        KeyState::Retired => "key.retired",
        KeyState::Revoked => "key.revoked",
        KeyState::Removed => "key.removed",
    };
    Row {
        kid: key.kid.clone(),
        state,
        published: moment(key.published_at),
        activated: at(key.activated_at),
        leaves: at(key.leaves_at()),
    }
}

fn page_of<A: LooksAtKeys>(
    visitor: &SignedIn,
    permitted: Permitted<'_, A>,
    form: &Form,
    refused: Option<Error>,
) -> Result<Response, Error> {
    let app = &visitor.page.app;
    let ring = inspect_keys::shown(app, permitted)?;
    let next = ring
        .next_rotation(&app.config.keys.policy)
        .map_or_else(|| "–".to_owned(), moment);
    let published = ring.keys.iter().filter(|key| key.state.is_published());
    let active = inspect_keys::active_kid(app).unwrap_or_default();
    let shown = Keys {
        p: &visitor.page,
        f: form,
        next,
        active,
        rows: published.map(row).collect(),
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
