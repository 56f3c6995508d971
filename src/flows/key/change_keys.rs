//! Changes the signing keys and loads the result. The schedule, the command line and start-up all
//! use this. No request creates a key.

pub use super::apply_change::Changed;
use super::apply_change::apply;

pub use super::key_change::{KeyChange, describe};
use super::load_keys;
use super::open_ring::{loaded_versions, open};
use crate::app::App;
use crate::flows::confirm_clock;
use crate::flows::permit::{Permitted, to};
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::key::plan::{KeyOperation, Step, plan};
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

/// Returns the steps that the operation would take now, and writes nothing.
///
/// # Errors
/// The reason for which the operation is refused.
pub async fn preview(
    app: &App,
    _: Permitted<'_, to::ChangeKeys>,
    operation: &KeyOperation,
) -> Result<Vec<Step>> {
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    let policy = &app.config.keys.policy;
    Ok(plan(app.now(), &stored.ring(), policy, operation)?)
}

/// Applies a change and loads the new ring.
pub async fn change(
    app: &App,
    _: Permitted<'_, to::ChangeKeys>,
    request: KeyChange,
) -> Result<Changed> {
    carry_out(app, request).await
}

/// Rotates the keys if `active` is still the active one, and only after every verifier knows the
/// next key.
pub async fn rotate(
    app: &App,
    _: Permitted<'_, to::RotateKeys>,
    active: String,
    requester: Requester,
) -> Result<Changed> {
    let rotation = KeyChange::new(KeyOperation::Rotate { force: false }, requester);
    carry_out(app, rotation.if_active(Some(active))).await
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
