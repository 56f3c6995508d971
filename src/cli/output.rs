//! The only code that prints: data to standard output, everything else to standard error.
use std::io::{IsTerminal, Write};

use comfy_table::Table;
use indicatif::HumanCount;
use serde_json::{Map, Value, json};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{Config, Log, LogFormat};
use crate::store;
use crate::traces::{self, Exporter};

use super::table::{self, Column};
use super::{Failure, Output};

/// A list, or a page of one.
pub(super) struct List<'a> {
    /// What is listed, such as `users`.
    pub(super) noun: &'a str,
    /// The columns of the table.
    pub(super) columns: &'a [Column],
    /// The entries; JSON has all members, a table those of the columns.
    pub(super) items: Vec<Map<String, Value>>,
    /// The number of entries of all pages.
    pub(super) total: u64,
    /// The value of `--page` for the next page; null if this is the last one.
    pub(super) next: Value,
}

impl<'a> List<'a> {
    /// Makes a list that has one page, of objects.
    pub(super) fn whole(noun: &'a str, columns: &'a [Column], items: Vec<Value>) -> Self {
        let items = objects(items);
        let total = items.len() as u64;
        let next = Value::Null;
        Self {
            noun,
            columns,
            items,
            total,
            next,
        }
    }
}

/// Returns the values that are objects, which all values of a list are.
pub(super) fn objects(items: Vec<Value>) -> Vec<Map<String, Value>> {
    let object = |item| match item {
        Value::Object(members) => Some(members),
        _ => None,
    };
    items.into_iter().filter_map(object).collect()
}

/// Prints a list, and how much of it that is.
pub(super) fn list(form: Output, list: &List<'_>) {
    if form == Output::Json {
        json(&json!({ "items": list.items, "total": list.total, "next": list.next }));
        return;
    }
    let short_ids = rows(form, list.columns, &list.items);
    let count = |number| HumanCount(number).to_string();
    let shown = list.items.len() as u64;
    let rest = match &list.next {
        _ if shown >= list.total => String::new(),
        Value::Null => "; --all".to_owned(),
        Value::String(place) => format!("; --all or --page {place}"),
        page => format!("; --all or --page {page}"),
    };
    if short_ids {
        note("Ids are shortened to fit; --output wide prints them whole.");
    }
    note(&format!(
        "{} of {} {}{rest}",
        count(shown),
        count(list.total),
        list.noun
    ));
}

/// Prints a table; returns whether its ids are shortened.
pub(super) fn rows(form: Output, columns: &[Column], items: &[Map<String, Value>]) -> bool {
    let laid = table::rows(columns, items, width(form));
    line(&laid.text);
    laid.short_ids
}

/// Prints one object, member by member, or as JSON.
pub(super) fn object(form: Output, members: &[(&str, Value)]) {
    if form == Output::Json {
        json(&together(members));
    } else {
        line(&table::members(members, width(form)));
    }
}

/// Makes one object of its members.
pub(super) fn together(members: &[(&str, Value)]) -> Value {
    let owned = members
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    Value::Object(owned.collect())
}

/// The width of a table if neither a terminal nor `COLUMNS` says another one.
const USUAL_WIDTH: u16 = 80;
/// The smallest width to which tables are laid out.
const SMALLEST_WIDTH: u16 = 40;

/// Returns the width that lines must not exceed: that of the terminal, else `COLUMNS`, else 80;
/// `None` where the operator wants whole lines.
#[expect(
    clippy::disallowed_methods,
    reason = "COLUMNS is a property of the terminal, not a setting"
)]
fn width(form: Output) -> Option<u16> {
    if form == Output::Wide {
        return None;
    }
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = Table::new().width().or_else(columns);
    Some(width.unwrap_or(USUAL_WIDTH).max(SMALLEST_WIDTH))
}

fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints a line of data; returns whether anything still reads. A reader that has closed the pipe
/// (`| head`) is not an error.
pub(super) fn line(text: &str) -> bool {
    writeln!(std::io::stdout(), "{text}").is_ok()
}

/// Prints a message about what was done to standard error. Unlike `eprintln!` it does not panic if
/// the other end of the pipe was closed.
pub(super) fn note(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Prints what was changed, and in which database, to standard error.
pub(super) fn done(config: &Config, text: &str) {
    note(&format!("{text} Database: {}", config.database_name()));
}

/// Prints what a command has changed, or would change, in any form.
pub(super) fn record(form: Output, config: &Config, written: bool, members: &[(&str, Value)]) {
    let more = [
        ("written", json!(written)),
        ("database", json!(config.database_name())),
    ];
    object(form, &[members, &more].concat());
}

/// Prints what was changed: a sentence, and an object for programs.
pub(super) fn changed(config: &Config, form: Output, text: &str, members: &[(&str, Value)]) {
    if form == Output::Json {
        record(form, config, true, members);
    }
    done(config, text);
}

/// Prints what `--dry-run` would change: a sentence, and an object for programs.
pub(super) fn planned(config: &Config, form: Output, text: &str, members: &[(&str, Value)]) {
    if form == Output::Json {
        record(form, config, false, members);
    }
    note(&format!("{text} Nothing was written."));
}

/// Prints an error to standard error.
pub(super) fn failure(failure: &Failure) {
    match failure {
        Failure::Configuration(problems) => {
            for problem in problems {
                note(&format!("countersign: {problem}"));
            }
            note(&format!(
                "countersign: {} problem(s) in the settings; nothing was started",
                problems.len()
            ));
        }
        Failure::Usage(text)
        | Failure::Refused(text)
        | Failure::Internal(text)
        | Failure::Startup(text) => note(&format!("countersign: {text}")),
        Failure::RefusedByFlow(error) => note(&format!("countersign: {error}")),
    }
}

/// Prints a completion script.
pub(super) fn completions(shell: clap_complete::Shell, command: &mut clap::Command) {
    // `generate` panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "countersign", &mut script);
    drop(std::io::stdout().write_all(&script));
}

/// Returns whether log lines of this target repeat texts of another server, which may contain a
/// URL, a token or values of a statement: the collector's answers, the notices of Postgres. They
/// are not shown at any level.
fn repeats_others(target: &str) -> bool {
    target.starts_with("opentelemetry") || target.starts_with(store::NOTICES)
}

/// Returns whether log lines are written for people.
pub(super) fn is_human(log: &Log) -> bool {
    match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    }
}

/// Starts logging: JSON for log collectors, lines for people. Commands other than `serve` only log
/// problems.
pub(super) fn start_logging(log: &Log, serving: bool, traces: Option<&Exporter>) {
    let level = if serving { log.level.as_str() } else { "warn" };
    let quiet = format!("{level},tokio_cron_scheduler=warn,{}=off", traces::TARGET);
    let filter = EnvFilter::try_new(quiet).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // The report of a line that could not be written would panic on a closed pipe.
        .log_internal_errors(false)
        .with_target(false);
    let lines = if is_human(log) {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    let started = tracing_subscriber::registry()
        .with(traces.map(Exporter::layer))
        .with(lines.with_filter(filter.and(filter_fn(|line| !repeats_others(line.target())))))
        .try_init();
    if let Err(error) = started {
        note(&format!(
            "countersign: logging could not be started: {error}"
        ));
    }
}
