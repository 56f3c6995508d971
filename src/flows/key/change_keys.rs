//! Changes the signing keys and loads the result. The schedule, the command line and start-up all
//! use this. No request creates a key.

use std::collections::BTreeMap;

pub use super::apply_change::Changed;
use super::apply_change::apply;
pub use crate::crypto::import::Stated;

pub use super::key_change::{Enters, KeyChange, describe};
use super::open_ring::{loaded_versions, open};
use super::{inspect_keys, load_keys};
use crate::app::App;
use crate::flows::confirm_clock;
use crate::flows::permit::{Permitted, to};
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::key::plan::KeyOperation;
use crate::model::key::slots::{SlotStep, plan};
use crate::store::{self, work};

/// Creates the keys that the plan finds missing and loads the ring; every sealed key is opened
/// once.
pub async fn ensure_keys(app: &App) -> Result<()> {
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    let masters = loaded_versions(app, &stored).await?;
    for key in &stored.keys {
        open(key, &masters)?;
    }
    match change_scheduled(app).await {
        // Another process started at the same time and was first.
        Ok(_) | Err(Error::AlreadyRotated) => load_keys::reload(app).await,
        Err(error) => Err(error),
    }
}

/// Does what is due by the schedule: rotation, the second rotation after an emergency, removal. On
/// a clock that is not confirmed, only missing keys are created.
pub async fn change_scheduled(app: &App) -> Result<Changed> {
    let operation = confirm_clock::confirm(app)
        .await?
        .map_or(KeyOperation::Missing, KeyOperation::Scheduled);
    carry_out(app, KeyChange::new(operation, Requester::named("schedule"))).await
}

/// Returns the steps that a change would take now, and writes nothing.
///
/// # Errors
/// The reason for which the change is refused.
pub async fn preview(
    app: &App,
    _: Permitted<'_, to::ChangeKeys>,
    request: &KeyChange,
) -> Result<Vec<SlotStep>> {
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    let policies = &app.config.keys.policies;
    let (operation, only) = (&request.operation, request.only);
    Ok(plan(app.now(), &stored.slots(), policies, operation, only)?)
}

/// Applies a change and loads the new ring.
pub async fn change(
    app: &App,
    _: Permitted<'_, to::ChangeKeys>,
    request: KeyChange,
) -> Result<Changed> {
    carry_out(app, request).await
}

/// Rotates the keys of the algorithm of `active`, if that is still the active one, and only after
/// every verifier knows the next key.
///
/// # Errors
/// [`Error::AlreadyRotated`] if another key signs by now.
pub async fn rotate(
    app: &App,
    _: Permitted<'_, to::RotateKeys>,
    active: String,
    requester: Requester,
) -> Result<Changed> {
    let kids = inspect_keys::active_kids(app);
    let found = kids.iter().find(|(_, kid)| **kid == active);
    let (&algorithm, _) = found.ok_or(Error::AlreadyRotated)?;
    let rotation = KeyChange::new(KeyOperation::Rotate { force: false }, requester);
    let expected = BTreeMap::from([(algorithm, active)]);
    carry_out(app, rotation.of(Some(algorithm)).if_active(expected)).await
}

/// Revokes one published key; tokens that it signed are refused by every verifier that fetches the
/// key set afterwards.
///
/// # Errors
/// [`Error::KeyRefused`] if no published key has this kid.
pub async fn revoke(
    app: &App,
    _: Permitted<'_, to::RevokeKeys>,
    kid: &str,
    reason: &str,
    requester: Requester,
) -> Result<Changed> {
    let operation = KeyOperation::Revoke(kid.to_owned());
    carry_out(
        app,
        KeyChange::new(operation, requester).with_reason(reason),
    )
    .await
}

async fn carry_out(app: &App, request: KeyChange) -> Result<Changed> {
    let changed = apply(app, request).await?;
    if !(changed.steps.is_empty() && changed.created.is_empty()) {
        load_keys::reload(app).await?;
    }
    Ok(changed)
}
