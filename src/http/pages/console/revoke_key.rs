//! `/auth/admin/keys/{kid}/revoke`: what the revocation of a key does, and the form that does it.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::app::App;
use crate::flows::Error as Refused;
use crate::flows::key::change_keys;
use crate::flows::key::foresee_revocation::foresee;
use crate::flows::permit::to;
use crate::model::key::key::State as KeyState;

use super::pieces::{Piece, pieces, segment};
use crate::http::edge::error::{Error, Source};
use crate::http::edge::limits::MAX_FILTER;
use crate::http::pages::durations::duration;
use crate::http::pages::form::Form;
use crate::http::pages::page::Page;
use crate::http::pages::visitor::{SignedForm, SignedIn, see_other};

#[derive(Template)]
#[template(path = "pages/revoke_key.html")]
struct Shown<'p> {
    p: &'p Page,
    f: &'p Form,
    kid: &'p str,
    path: String,
    consequences: Vec<Vec<Piece>>,
}

/// Returns the page for a published key; for any other, that there is no such page.
async fn page_of(
    visitor: &SignedIn,
    kid: &str,
    form: &Form,
    refused: Option<Error>,
) -> Result<Response, Error> {
    let SignedIn { page, who, .. } = visitor;
    let app = &page.app;
    let permitted = who.require::<to::RevokeKeys>(app)?;
    let found = foresee(app, permitted, kid).await.map_err(unknown)?;
    let told = |key: &str, value: Piece| pieces(page.t(key), |_| value.clone());
    let said = |key: &str| told(key, Piece::text(""));
    let lasting = |key: &str, length| told(key, Piece::text(duration(page, length)));
    let mut consequences = match found.state {
        KeyState::Active => {
            let mut active = vec![
                said("revoke.active"),
                lasting("revoke.tokens", found.accepted_for),
            ];
            active.extend(found.sessions.map(|sessions| {
                vec![Piece::text(page.words.counted("revoke.sessions", sessions))]
            }));
            active
        }
        KeyState::Standby => vec![said("revoke.standby")],
        KeyState::Retired | KeyState::Revoked | KeyState::Removed => vec![
            told(
                "revoke.retired",
                found.leaves_at.map_or(Piece::text("–"), Piece::at),
            ),
            lasting("revoke.tokens", found.accepted_for),
        ],
    };
    if let Some(wait) = found.unknown_for {
        consequences.push(lasting("revoke.young", wait));
    }
    consequences.push(said("revoke.final"));
    let shown = Shown {
        p: page,
        f: form,
        kid,
        path: format!("/auth/admin/keys/{}/revoke", segment(kid)),
        consequences,
    };
    Ok(match refused {
        None => Page::answer(&shown, StatusCode::OK, ""),
        Some(error) => Page::refuse(&shown, error, ""),
    })
}

/// Converts the refusal of a key that is not published: there is no page about it.
fn unknown(error: Refused) -> Error {
    match error {
        Refused::KeyRefused(_) => Error::NotFound,
        error => error.into(),
    }
}

pub(in crate::http::pages) async fn show(
    visitor: SignedIn,
    Path(kid): Path<String>,
) -> Result<Response, Error> {
    page_of(&visitor, &kid, &Form::new("revoke"), None).await
}

/// Revokes the key; the reason is stored with it.
pub(in crate::http::pages) async fn send(
    State(app): State<Arc<App>>,
    Path(kid): Path<String>,
    SignedForm {
        visitor,
        mut fields,
    }: SignedForm,
) -> Result<Response, Error> {
    let permitted = visitor.who.require::<to::RevokeKeys>(&app)?;
    let reason = fields.optional_text("reason", MAX_FILTER).or_default();
    let reason = fields.finish(reason)?;
    let reason = reason.trim();
    if reason.is_empty() {
        let mut form = Form::new("revoke");
        form.say(&visitor.page, "revoke.no_reason");
        let problem = ("reason".to_owned(), vec!["is required".to_owned()]);
        let error = Error::Validation(Source::Form, BTreeMap::from([problem]));
        return page_of(&visitor, &kid, &form, Some(error)).await;
    }
    let requester = visitor.requester.clone();
    change_keys::revoke(&app, permitted, &kid, reason, requester)
        .await
        .map_err(unknown)?;
    Ok(see_other("/auth/admin/keys?done=revoked"))
}
