//! `keys …`: the signing keys and the master key.

mod arguments;
mod change;
mod lost_key;
mod processes;
mod rewrap;

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::App;
use crate::config::Config;
use crate::flows::key::change_keys::KeyChange;
use crate::flows::key::inspect_keys;
use crate::flows::key::inspect_keys::Set;
use crate::flows::session::session_tokens;
use crate::model::key::key::Key;
use crate::model::key::plan::KeyOperation;

pub(super) use self::arguments::Keys;

use self::arguments::Format;
use self::change::{change, import, warn_young_standby};
use super::output::{self, List};
use super::table::{Column, id, name, text, time};
use super::{Failure, Output, Result, ask, build_with_keys, operator};

pub(super) async fn run(command: Keys, config: Config) -> Result<()> {
    if let Keys::Abandon {
        lost_master_key: _,
        yes,
        output,
    } = command
    {
        return Box::pin(lost_key::abandon(config, yes, output)).await;
    }
    let app = match &command {
        Keys::Rewrap(arguments) => rewrap::open(config, arguments).await?,
        _ => build_with_keys(config).await?,
    };
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Keys) -> Result<()> {
    match command {
        Keys::List { all, output } => list(app, all, output).await,
        Keys::Rotate {
            algorithm,
            compromised,
            force,
            dry_run,
            yes,
            output,
        } => {
            let operation = if compromised {
                KeyOperation::ReplaceAll
            } else {
                KeyOperation::Rotate { force }
            };
            if compromised && !dry_run {
                let policies = &app.config.keys.policies;
                let longest = policies.algorithms.values().max();
                let blind = policies.base.jwks_max_age + longest.copied().unwrap_or_default();
                output::note(&format!(
                    "Verifiers that do not fetch at once on an unknown kid will refuse new tokens for up to {blind:?}."
                ));
                let which = algorithm.map_or_else(
                    || "Replace every signing key?".to_owned(),
                    |algorithm| format!("Replace every signing key of {algorithm}?"),
                );
                ask::confirm(&app.config, &which, yes)?;
            }
            let active = inspect_keys::active_kids(app);
            let order = KeyChange::new(operation, operator()).of(algorithm);
            change(app, order.if_active(active), dry_run, output).await
        }
        Keys::Revoke {
            kid,
            reason,
            dry_run,
            yes,
            output,
        } => {
            let operation = KeyOperation::Revoke(kid.clone());
            if !dry_run {
                ask::confirm(
                    &app.config,
                    &format!(
                        "Revoke {kid}? Verifiers refuse its tokens as soon as they fetch the JWKS."
                    ),
                    yes,
                )?;
                warn_young_standby(app, &kid);
            }
            let order = KeyChange::new(operation, operator()).with_reason(&reason);
            change(app, order, dry_run, output).await
        }
        Keys::Close {
            algorithm,
            dry_run,
            yes,
            output,
        } => {
            if !dry_run {
                let question = format!(
                    "Close {algorithm}? Its keys sign no more, and leave the JWKS when their last tokens have expired."
                );
                ask::confirm(&app.config, &question, yes)?;
            }
            let order = KeyChange::new(KeyOperation::Close, operator()).of(Some(algorithm));
            change(app, order, dry_run, output).await
        }
        Keys::Export {
            public: _,
            audience,
            format,
        } => export(app, audience.as_deref(), format).await,
        Keys::Import(arguments) => import(app, &arguments).await,
        Keys::Processes { output } => processes::list(app, output).await,
        Keys::Rewrap(arguments) => rewrap::run(app, arguments).await,
        Keys::Abandon { .. } => Err(Failure::Internal(
            "the keys were loaded, so the master key is not lost".into(),
        )),
        Keys::Verify { token, output } => verify(app, &token, output).await,
    }
}

async fn export(app: &App, audience: Option<&str>, format: Format) -> Result<()> {
    let set = audience.map_or(Set::Default, Set::at);
    let text = match format {
        Format::Jwks => inspect_keys::jwks(app, set)?
            .map(|jwks| String::from_utf8_lossy(&jwks.body).into_owned()),
        Format::Pem => inspect_keys::pems(app, set).await?.map(|all| all.concat()),
    };
    let text = text.ok_or_else(|| {
        Failure::Usage(format!(
            "no audience in the settings has the name {:?}; see `countersign audiences`",
            audience.unwrap_or_default()
        ))
    })?;
    output::line(text.trim_end());
    Ok(())
}

async fn list(app: &App, all: bool, format: Output) -> Result<()> {
    let slots = inspect_keys::slots(app)?;
    let since = |k: &Key| {
        k.ended_at
            .or(k.retired_at)
            .or(k.activated_at)
            .unwrap_or(k.published_at)
    };
    let item = |k: &Key| {
        json!({
            "kid": k.kid,
            "algorithm": k.algorithm,
            "state": k.state.as_str(),
            "since": since(k),
            "leavesJwksAt": k.leaves_at(),
            "reason": k.reason,
        })
    };
    let shown = slots.keys().filter(|k| all || k.state.is_published());
    let list = List {
        noun: "keys",
        columns: &COLUMNS,
        items: output::objects(shown.map(item).collect()),
        total: slots.keys().count() as u64,
        next: Value::Null,
    };
    if format == Output::Json {
        output::list(format, &list);
        return Ok(());
    }
    processes::beside_keys(app, format).await?;
    let policies = &app.config.keys.policies;
    let several = slots.published().count() > 1;
    for (algorithm, ring) in slots.published() {
        let name = if several {
            format!(" of {algorithm}")
        } else {
            String::new()
        };
        if let Some(at) = ring.next_rotation(&policies.of(algorithm)) {
            output::note(&format!("Next rotation{name}: {at}"));
        }
        if let Some(at) = slots.opens_at(algorithm, policies) {
            output::note(&format!("The first key of {algorithm} signs from {at} on"));
        }
    }
    output::list(format, &list);
    Ok(())
}

const COLUMNS: [Column; 6] = [
    id("kid"),
    name("algorithm"),
    name("state"),
    time("since"),
    time("leavesJwksAt"),
    text("reason"),
];

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(65_536)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|f| f.take(65_536).read_to_string(&mut text))
    };
    read.map_err(|e| Failure::Usage(format!("cannot read {}: {e}", file.display())))?;
    Ok(text)
}

async fn verify(app: &App, token: &str, format: Output) -> Result<()> {
    let token = if token == "-" {
        read(Path::new("-"))?
    } else {
        token.to_owned()
    };
    let report = session_tokens::explain(app, &token).await?;
    let members = [
        ("valid", json!(report.problems.is_empty())),
        ("kid", json!(report.kid)),
        ("keyState", json!(report.key_state)),
        ("audience", json!(report.audience)),
        ("claims", json!(report.claims)),
        ("problems", json!(report.problems)),
    ];
    output::object(format, &members);
    if report.problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Refused("the token is not valid".into()))
    }
}
