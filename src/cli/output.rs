//! The only code that prints: data to standard output, everything else to standard error.
#![expect(clippy::print_stderr, reason = "this is the place that prints")]

use std::io::{IsTerminal, Write};

use comfy_table::{Table, presets};
use serde_json::Value;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{Config, Log, LogFormat};
use crate::store;
use crate::traces::{self, Exporter};

use super::{Failure, Output};

/// Prints rows, as a table or as JSON.
pub(super) fn rows(output: Output, columns: &[&str], rows: &[Vec<Value>]) {
    match output {
        Output::Json => {
            let object = |row: &Vec<Value>| {
                Value::Object(
                    columns
                        .iter()
                        .map(|c| (*c).to_owned())
                        .zip(row.iter().cloned())
                        .collect(),
                )
            };
            json(&Value::Array(rows.iter().map(object).collect()));
        }
        Output::Table => {
            let mut table = Table::new();
            table
                .load_style(presets::UTF8_HORIZONTAL_ONLY)
                .set_header(columns);
            for row in rows {
                table.add_row(row.iter().map(cell));
            }
            line(&table.to_string());
        }
    }
}

/// Prints one object, member by member, or as JSON.
pub(super) fn object(output: Output, members: &[(&str, Value)]) {
    match output {
        Output::Json => json(&Value::Object(
            members
                .iter()
                .map(|(k, v)| ((*k).to_owned(), v.clone()))
                .collect(),
        )),
        Output::Table => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            for (name, value) in members {
                table.add_row([(*name).to_owned(), cell(value)]);
            }
            line(&table.to_string());
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) => text
            .chars()
            .map(|c| {
                if c.is_control() || turns_the_line(c) {
                    '\u{FFFD}'
                } else {
                    c
                }
            })
            .collect(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

/// Returns whether the character can reverse the direction of text (Unicode's embeddings, overrides
/// and isolates), so that a name could look like another cell.
fn turns_the_line(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints a line of data. A reader that has closed the pipe (`| head`) is not an error.
pub(super) fn line(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// Prints a message about what was done to standard error.
pub(super) fn note(text: &str) {
    eprintln!("{text}");
}

/// Prints what was changed, and in which database, to standard error.
pub(super) fn changed(config: &Config, text: &str) {
    note(&format!("{text} Database: {}", config.database_name()));
}

/// Prints an error to standard error.
pub(super) fn failure(failure: &Failure) {
    match failure {
        Failure::Configuration(problems) => {
            for problem in problems {
                eprintln!("countersign: {problem}");
            }
            eprintln!(
                "countersign: {} problem(s) in the settings; nothing was started",
                problems.len()
            );
        }
        Failure::Usage(text)
        | Failure::Refused(text)
        | Failure::Internal(text)
        | Failure::Startup(text) => eprintln!("countersign: {text}"),
    }
}

/// Prints a completion script.
pub(super) fn completions(shell: clap_complete::Shell, command: &mut clap::Command) {
    clap_complete::generate(shell, command, "countersign", &mut std::io::stdout());
}

/// Returns whether log lines of this target repeat texts of another server, which may contain a
/// URL, a token or values of a statement: the collector's answers, the notices of Postgres. They
/// are not shown at any level.
fn repeats_others(target: &str) -> bool {
    target.starts_with("opentelemetry") || target.starts_with(store::NOTICES)
}

/// Starts logging: JSON for log collectors, lines for people. Commands other than `serve` only log
/// problems.
pub(super) fn start_logging(log: &Log, serving: bool, traces: Option<&Exporter>) {
    let level = if serving { log.level.as_str() } else { "warn" };
    let quiet = format!("{level},tokio_cron_scheduler=warn,{}=off", traces::TARGET);
    let filter = EnvFilter::try_new(quiet).unwrap_or_else(|_| EnvFilter::new("info"));
    let human = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let lines = if human {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    let started = tracing_subscriber::registry()
        .with(traces.map(Exporter::layer))
        .with(lines.with_filter(filter.and(filter_fn(|line| !repeats_others(line.target())))))
        .try_init();
    if let Err(error) = started {
        eprintln!("countersign: logging could not be started: {error}");
    }
}
