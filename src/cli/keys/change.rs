//! `keys rotate`, `keys revoke` and `keys import`: prints the plan of a change, or applies it and
//! prints what was done.

use std::path::Path;

use serde_json::json;

use crate::app::App;
use crate::cli::{Failure, Output, Result, operator, output};
use crate::flows::key::change_keys::{self, Changed, KeyChange, describe};
use crate::flows::key::inspect_keys;
use crate::flows::permit::Permitted;
use crate::model::key::key::State;
use crate::model::key::plan::{KeyOperation, Step};

use super::arguments::As;
use super::read;

pub(super) async fn change(
    app: &App,
    order: KeyChange,
    operation: &KeyOperation,
    dry_run: bool,
    format: Output,
) -> Result<()> {
    let steps = change_keys::preview(app, Permitted::as_operator(), operation).await?;
    if dry_run {
        let created = vec![];
        print_change(format, &Changed { steps, created }, app, false);
        return Ok(());
    }
    let changed = change_keys::change(app, Permitted::as_operator(), order).await?;
    print_change(format, &changed, app, true);
    Ok(())
}

/// Prints the steps of a change; `written` says whether they were taken.
fn print_change(form: Output, changed: &Changed, app: &App, written: bool) {
    let steps: Vec<String> = changed.steps.iter().map(describe).collect();
    let members = [("steps", json!(steps)), ("created", json!(changed.created))];
    output::record(form, &app.config, written, &members);
    if !written {
        return;
    }
    output::done(&app.config, "The keys are changed.");
    let second = changed.steps.iter().find_map(|s| {
        if let Step::RotateAfter(Some(at)) = s {
            Some(*at)
        } else {
            None
        }
    });
    if let Some(at) = second {
        output::note(&format!(
            "A second rotation follows after {at}, for verifiers that only fetch after an unknown kid."
        ));
    }
}

pub(super) fn warn_young_standby(app: &App) {
    let Ok(ring) = inspect_keys::ring(app) else {
        return;
    };
    let (Some(standby), needed) = (
        ring.in_state(State::Standby),
        app.config.keys.policy.publish_before_use(&ring),
    ) else {
        return;
    };
    let age = app.now().since(standby.published_at);
    if age < needed {
        output::note(&format!(
            "The standby key has been published for {age:?} only: verifiers with caches may refuse its tokens for up to {:?}.",
            needed.saturating_sub(age)
        ));
    }
}

pub(super) async fn import(
    app: &App,
    file: &Path,
    state: As,
    kid: Option<&str>,
    dry_run: bool,
    format: Output,
) -> Result<()> {
    let text = zeroize::Zeroizing::new(read(file)?);
    let order = KeyChange::import(&text, state == As::Retired, operator())?;
    let found = order.imported_kid().unwrap_or_default().to_owned();
    if kid.is_some_and(|expected| expected != found) {
        return Err(Failure::Refused(format!(
            "the key's thumbprint is {found}; a kid here is always the thumbprint (RFC 7638)"
        )));
    }
    if dry_run {
        output::record(format, &app.config, false, &[("kid", json!(found))]);
        return Ok(());
    }
    let changed = change_keys::change(app, Permitted::as_operator(), order).await?;
    print_change(format, &changed, app, true);
    Ok(())
}
