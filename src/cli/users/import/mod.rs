//! `users import`: checks a file whole, and then imports its users.

mod arguments;
mod batches;
mod report;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::app::App;
use crate::cli::{Failure, Result, Trial, ask, operator, output};
use crate::flows::account::manage_users;
use crate::flows::import::request::{FileFacts, Parameters, Request, Source};
use crate::flows::import::run;
use crate::flows::import::survey;
use crate::flows::permit::Permitted;
use crate::import::ReadOptions;
use crate::model::import::batch::{Batch, Counts};
use crate::model::import::policy::Policy;

pub(in crate::cli) use self::arguments::Import;
pub(super) use self::batches::{roll_back, show};
use self::report::Report;

/// Runs the command `users import`.
pub(super) async fn import(app: &App, arguments: Import) -> Result<()> {
    let request = request(app, &arguments)?;
    let source = open(&arguments.file)?;
    let bar = ProgressBar::new_spinner().with_message("reading");
    let facts = survey::read(&source, &request, |rows| bar.inc(rows));
    bar.finish_and_clear();
    let facts = facts?;
    if let Some(batch) = &arguments.resume {
        let permitted = Permitted::as_operator();
        let batch = run::resume(app, permitted, batch, &request, &facts).await?;
        confirm_admins(app, &request, arguments.caution.yes)?;
        return carry_out(app, &source, &request, &facts, batch, &arguments).await;
    }
    let counts = check(app, &source, &request, &facts, &arguments).await?;
    let Trial { dry_run, output } = arguments.caution.trial;
    let is_refused = counts.refused > 0 && !arguments.allow_refused;
    if dry_run || !is_refused && !counts.changes_users() {
        let text = if dry_run {
            sentence(counts, "would be")
        } else {
            format!("There is nothing to import. {}", sentence(counts, "were"))
        };
        output::planned(&app.config, output, &text, &members(None, counts));
    }
    if is_refused {
        return Err(refused(counts, dry_run));
    }
    if dry_run || !counts.changes_users() {
        return Ok(());
    }
    confirm_admins(app, &request, arguments.caution.yes)?;
    let permitted = Permitted::as_operator();
    let batch = run::begin(app, permitted, &request, &facts, &operator()).await?;
    output::note(&format!(
        "The import is {}; if it is interrupted, add --resume {} to the same command.",
        batch.id, batch.id
    ));
    carry_out(app, &source, &request, &facts, batch, &arguments).await
}

fn refused(counts: Counts, dry_run: bool) -> Failure {
    let what = if dry_run {
        "--allow-refused imports the others"
    } else {
        "nothing was imported; --dry-run --report FILE lists every row, and --allow-refused imports the others"
    };
    let Counts { refused, .. } = counts;
    Failure::Refused(format!(
        "{refused} of {} rows are refused; {what}",
        counts.total()
    ))
}

fn request(app: &App, arguments: &Import) -> Result<Request> {
    let roles = arguments.role_map.iter();
    let roles = roles.map(|mapping| (mapping.from.clone(), mapping.to.clone()));
    let policy = Policy {
        on_duplicate: arguments.on_duplicate,
        trust_verified: arguments.trust_verified,
        without_second_factor: arguments.without_second_factor,
        roles: roles.collect(),
        ..Policy::default()
    };
    for role in policy.roles.values() {
        manage_users::check_roles(app, role)?;
    }
    let name = arguments.format.name();
    let request = Request {
        read: ReadOptions {
            format: arguments.format,
            map: arguments.map.iter().cloned().collect(),
            drop: arguments.drop.iter().cloned().collect(),
        },
        source: arguments.source.clone().unwrap_or_else(|| name.to_owned()),
        policy,
        allow_refused: arguments.allow_refused,
        parameters: Arc::new(parameters(app, arguments)?),
    };
    Ok(request.with_issuers(app))
}

/// Reads what the hashes need besides.
fn parameters(app: &App, arguments: &Import) -> Result<Parameters> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
    };
    let firebase = arguments.firebase_params.as_ref().map(read).transpose()?;
    let pepper = app.config.passwords.pepper.as_ref();
    let pepper = pepper.map(|pepper| pepper.0.as_str());
    Ok(Parameters::of(
        pepper,
        firebase.as_deref().map(String::as_str),
    )?)
}

/// Opens the file. What can be read only once, such as standard input, is copied into a file without
/// a name first, because the rows are read several times.
fn open(path: &Path) -> Result<Source> {
    let unreadable = |error: std::io::Error| Failure::Usage(format!("{}: {error}", path.display()));
    let copied = |mut from: Box<dyn std::io::Read>| {
        let mut copy = tempfile::tempfile()?;
        std::io::copy(&mut from, &mut copy)?;
        Ok(copy)
    };
    if path == Path::new("-") {
        let copy = copied(Box::new(std::io::stdin().lock())).map_err(unreadable)?;
        return Ok(Source::of(copy));
    }
    let file = File::open(path).map_err(unreadable)?;
    let kind = file.metadata().map_err(unreadable)?;
    if kind.is_dir() {
        return Err(Failure::Usage(format!("{}: is a folder", path.display())));
    }
    let file = if kind.is_file() {
        file
    } else {
        copied(Box::new(file)).map_err(unreadable)?
    };
    Ok(Source::of(file))
}

/// Decides about every row, and shows the first ones that are refused.
async fn check(
    app: &App,
    source: &Source,
    request: &Request,
    facts: &FileFacts,
    arguments: &Import,
) -> Result<Counts> {
    let mut report = Report::create(arguments.report.as_deref())?;
    let bar = bar(facts.rows, "checking");
    let permitted = Permitted::as_operator();
    let counts = survey::survey(app, permitted, source, request, facts, |row| {
        bar.inc(1);
        report.add(row)
    })
    .await;
    bar.finish_and_clear();
    let counts = counts?;
    report.finish()?;
    Ok(counts)
}

/// Asks once more before roles of the source make admins.
fn confirm_admins(app: &App, request: &Request, yes: bool) -> Result<()> {
    let admins: Vec<&str> = request.policy.makes_admins().collect();
    if admins.is_empty() {
        return Ok(());
    }
    let question = format!(
        "Users with the role {} in the file become admins here. Import them?",
        admins.join(" or ")
    );
    ask::confirm(&app.config, &question, yes)
}

async fn carry_out(
    app: &App,
    source: &Source,
    request: &Request,
    facts: &FileFacts,
    batch: Batch,
    arguments: &Import,
) -> Result<()> {
    let bar = bar(facts.rows, "importing");
    let work = run::Work {
        source,
        request,
        facts,
    };
    let permitted = Permitted::as_operator();
    let operator = operator();
    let done = run::run(app, permitted, work, batch, &operator, |rows| bar.inc(rows));
    let done = Box::pin(done).await;
    bar.finish_and_clear();
    let batch = done?;
    let text = sentence(batch.counts, "were");
    let members = members(Some(&batch), batch.counts);
    output::record(arguments.caution.trial.output, &app.config, true, &members);
    output::done(&app.config, &text);
    if batch.counts.refused > 0 && !arguments.allow_refused {
        return Err(Failure::Refused(format!(
            "{} rows were refused meanwhile; `countersign users imports {}` lists them",
            batch.counts.refused, batch.id
        )));
    }
    Ok(())
}

fn bar(rows: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg:12} {wide_bar} {human_pos}/{human_len} rows, {eta} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(rows).with_style(style).with_message(what)
}

fn sentence(counts: Counts, verb: &str) -> String {
    let Counts {
        created,
        unchanged,
        linked,
        skipped,
        refused,
    } = counts;
    format!(
        "Of {} rows {created} {verb} created, {unchanged} came before, {linked} {verb} linked, {skipped} skipped and {refused} refused.",
        counts.total()
    )
}

/// Returns the members that describe an import.
fn members(batch: Option<&Batch>, counts: Counts) -> Vec<(&'static str, Value)> {
    let mut members = Vec::new();
    if let Some(batch) = batch {
        members.extend([
            ("id", json!(batch.id)),
            ("source", json!(batch.source)),
            ("state", json!(batch.state.as_str())),
        ]);
    }
    members.extend([
        ("created", json!(counts.created)),
        ("unchanged", json!(counts.unchanged)),
        ("linked", json!(counts.linked)),
        ("skipped", json!(counts.skipped)),
        ("refused", json!(counts.refused)),
    ]);
    members
}
