//! `config check` and `config show`.

use clap::Subcommand;
use serde_json::json;

use crate::config::{Config, Effective, Problem};
use crate::flows::ops::checklist::{Facts, make_list};

use super::output::{self, List};
use super::table::{name, text};
use super::{Failure, Output, Result, checklist, upstream};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check the settings: report every problem at once, the rules that apply, and what the settings
    /// mean for this installation
    Check {
        /// Also ask every provider of [upstream] for its discovery document and public keys
        #[arg(long)]
        online: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print the effective settings, the source of each, and what a value such as `auto` became
    Show {
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

const RULES: [&str; 10] = [
    "http only on loopback, unless server.allow_insecure",
    "sessions.refresh_cooldown ≥ sessions.refresh_grace (both 0s: strict single use)",
    "sessions.refresh_cooldown ≥ sessions.refresh_grace + 20s, or a warning: message 5 s there and back, replica clocks 2 × 5 s",
    "sessions.refresh_grace ≥ 20s, or a warning: one lost answer takes 2 × 5 s, and 30s allow for two of them",
    "tokens.access_ttl ≥ 2 × sessions.refresh_cooldown",
    "sessions.absolute_ttl ≥ sessions.idle_ttl",
    "cookie_same_site = none and cookie_host_prefix need https",
    "no text has line breaks, invisible characters, white space at its ends or more than 4096 bytes",
    "[tokens.claims] cannot set registered claims",
    "a setting that does not exist is refused, with the one that was probably meant",
];

pub(super) fn run(
    command: &ConfigCommand,
    config: std::result::Result<Config, Vec<Problem>>,
) -> Result<()> {
    match command {
        ConfigCommand::Check { online, output } => check(*output, *online, config),
        ConfigCommand::Show { output } => {
            show(*output, &config.map_err(Failure::Configuration)?);
            Ok(())
        }
    }
}

fn check(
    form: Output,
    online: bool,
    config: std::result::Result<Config, Vec<Problem>>,
) -> Result<()> {
    if form == Output::Json {
        return check_for_programs(form, online, config);
    }
    let config = config.map_err(Failure::Configuration)?;
    show(form, &config);
    let policy = config.keys.policies.of_default();
    let ring = crate::model::key::key::Ring::default();
    output::note("Rules that were applied:");
    for rule in RULES {
        output::note(&format!("  {rule}"));
    }
    output::note(&format!(
        "A key is published for {:?} before it signs (keys.jwks_max_age + keys.verifier_cache + 15 s).",
        policy.publish_before_use(&ring)
    ));
    checklist::print(&make_list(&config, &Facts::default()));
    upstream::note_registrations(&config);
    output::note("The settings are valid.");
    if !online {
        return Ok(());
    }
    let asked = upstream::ask_all(&config)?;
    for (provider, answer) in &asked {
        output::note(&match answer {
            Ok(found) => format!("✓ {}: {} ({} keys)", provider.id, found.issuer, found.keys),
            Err(failure) => format!("✗ {}: {failure}", provider.id),
        });
    }
    upstream::refuse_unusable(&asked)
}

fn check_for_programs(
    form: Output,
    online: bool,
    config: std::result::Result<Config, Vec<Problem>>,
) -> Result<()> {
    let (warnings, problems) = match &config {
        Ok(config) => (config.warnings.clone(), Vec::new()),
        Err(problems) => (Vec::new(), problems.clone()),
    };
    let problem = |p: &Problem| json!({ "setting": p.key, "problem": p.message });
    let asked = match &config {
        Ok(config) if online => upstream::ask_all(config)?,
        _ => Vec::new(),
    };
    let mut members = vec![
        ("valid", json!(problems.is_empty())),
        ("problems", problems.iter().map(problem).collect()),
        ("warnings", json!(warnings)),
    ];
    if online {
        members.push(("providers", asked.iter().map(upstream::item).collect()));
    }
    output::object(form, &members);
    upstream::refuse_unusable(&asked)?;
    drop(asked);
    config.map(|_| ()).map_err(Failure::Configuration)
}

fn show(form: Output, config: &Config) {
    let columns = [name("setting"), text("value"), text("source")];
    // A program gets the value as it was written, and what it became beside it.
    let item = |e: &Effective| match form {
        Output::Json => {
            json!({ "setting": e.key, "value": e.value, "source": e.source, "became": e.became })
        }
        _ => json!({ "setting": e.key, "value": e.explained(), "source": e.source }),
    };
    let items = config.effective.iter().map(item).collect();
    output::list(form, &List::whole("settings", &columns, items));
}
