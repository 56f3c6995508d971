//! `keys rotate`, `keys revoke`, `keys close` and `keys import`: prints the plan of a change, or applies it and
//! prints what was done.

use serde_json::json;

use crate::app::App;
use crate::cli::{Failure, Output, Result, operator, output};
use crate::flows::key::change_keys::{self, Changed, Enters, KeyChange, Stated, describe};
use crate::flows::key::{inspect_keys, public_keys};
use crate::flows::permit::Permitted;
use crate::model::key::key::State;
use crate::model::key::plan::Step;

use super::arguments::{As, Import};
use super::read;

pub(super) async fn change(
    app: &App,
    order: KeyChange,
    dry_run: bool,
    format: Output,
) -> Result<()> {
    let steps = change_keys::preview(app, Permitted::as_operator(), &order).await?;
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
        if let Step::RotateAfter(Some(at)) = s.step {
            Some(at)
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

/// Warns if the key that would sign instead of a revoked one is not known to every verifier yet.
pub(super) fn warn_young_standby(app: &App, kid: &str) {
    let Ok(slots) = inspect_keys::slots(app) else {
        return;
    };
    let Some(algorithm) = slots
        .keys()
        .find(|key| key.kid == kid)
        .map(|key| key.algorithm)
    else {
        return;
    };
    let ring = slots.of(algorithm);
    let Some((ring, standby)) = ring.and_then(|ring| Some((ring, ring.in_state(State::Standby)?)))
    else {
        return;
    };
    let needed = app
        .config
        .keys
        .policies
        .of(algorithm)
        .publish_before_use(ring);
    let age = app.now().since(standby.published_at);
    if age < needed {
        output::note(&format!(
            "The standby key has been published for {age:?} only: verifiers with caches may refuse its tokens for up to {:?}.",
            needed.saturating_sub(age)
        ));
    }
}

pub(super) async fn import(app: &App, arguments: &Import) -> Result<()> {
    let text = zeroize::Zeroizing::new(read(&arguments.file)?);
    let order = if arguments.public {
        foreign(arguments, &text)?
    } else {
        let stated = Stated {
            algorithm: arguments.algorithm,
            kid: arguments.kid.clone(),
        };
        let enters = match arguments.state {
            As::Standby => Enters::Standby,
            As::Retired => Enters::Retired,
        };
        KeyChange::import(&text, &stated, enters, arguments.longest_ttl, operator())?
    };
    tell_issuer(app, arguments);
    let format = arguments.output;
    let kids = order.imported_kids();
    if arguments.dry_run {
        // A private key is one, and programs read its kid.
        let members = match kids.as_slice() {
            [kid] => [("kid", json!(kid))],
            several => [("kids", json!(several))],
        };
        output::record(format, &app.config, false, &members);
        return Ok(());
    }
    let changed = change_keys::change(app, Permitted::as_operator(), order).await?;
    print_change(format, &changed, app, true);
    Ok(())
}

/// Reads the public keys of another issuer, and names those that cannot be published.
fn foreign(arguments: &Import, text: &str) -> Result<KeyChange> {
    if arguments.state != As::Retired {
        return Err(Failure::Usage(
            "a public key cannot sign: write --public --as retired".into(),
        ));
    }
    let Some(longest_ttl) = arguments.longest_ttl else {
        return Err(Failure::Usage(
            "write --longest-ttl, the longest lifetime of the other issuer's tokens, such as 24h: the keys stay published that long".into(),
        ));
    };
    let set = public_keys::read(text, arguments.kid.as_deref(), arguments.algorithm)?;
    for reason in &set.skipped {
        output::note(&format!("Not imported: {reason}"));
    }
    Ok(KeyChange::publish(set.keys, longest_ttl, operator()))
}

/// Tells for which issuer's tokens an imported key that signed elsewhere is of use.
fn tell_issuer(app: &App, arguments: &Import) {
    if arguments.state != As::Retired {
        return;
    }
    let own = app.config.tokens.issuer.as_str();
    let targets = &app.config.tokens.targets;
    let is_ours = |theirs: &str| targets.all().any(|target| target.issuer.as_str() == theirs);
    match arguments.issuer.as_deref() {
        Some(theirs) if !is_ours(theirs) => output::note(&format!(
            "The tokens of {theirs} will not verify here: verifiers of this service expect the issuer {own}. Set tokens.issuer to {theirs}, which must lead to this service."
        )),
        Some(_) => {}
        None => output::note(&format!(
            "Its tokens verify as long as their iss is {own} (tokens.issuer)."
        )),
    }
}
