//! The commands. Each parses its arguments, calls the same flows as HTTP and prints through
//! `output`; settings are the same for all. Exit status: 0 done, 1 refused, 2 usage, 70 internal,
//! 78 bad configuration.

mod ask;
mod audiences;
mod audit;
mod caution;
mod checklist;
mod clock;
mod config;
mod database;
mod dev;
mod doctor;
mod failure;
mod keys;
mod limits;
mod mails;
mod migrate;
mod output;
mod paging;
mod program;
mod serve;
mod sessions;
mod table;
mod upstream;
mod users;
mod values;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Problem, Sources};
use crate::traces::Exporter;

use self::caution::{Caution, Trial};
use self::failure::{Failure, Result, Rules};
use self::program::{build, build_with_keys, operator, with_long_timeouts};
use self::values::{block_length, key_value, network};

const EXAMPLES: &str = "Examples:
  countersign                                        serve on 127.0.0.1:4000 with SQLite, no configuration
  countersign --set server.listen=0.0.0.0:8080 serve
  countersign keys rotate --dry-run                  what a rotation would do now
  countersign sessions revoke --user ana@example.com
  countersign config check

Settings come from countersign.toml, then COUNTERSIGN_<SECTION>__<KEY>, then --set; the later wins.
Exit status: 0 done, 1 refused, 2 usage, 70 internal, 78 bad configuration.";

/// A sign-in service and token issuer.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about, after_help = EXAMPLES)]
struct Cli {
    /// Read settings from this file instead of countersign.toml
    #[arg(long, global = true, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one setting, such as tokens.access_ttl=10m; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default command)
    Serve,
    /// Serve on this machine only, with a database of its own and an API for tests under /dev
    Dev(dev::Arguments),
    /// Apply migrations of the database schema
    Migrate(migrate::Migrate),
    /// Signing keys and the master key: list, rotate, revoke, close, export, import, processes,
    /// rewrap, abandon, verify
    #[command(subcommand)]
    Keys(keys::Keys),
    /// List the audiences of the settings, or print what a backend pastes to verify the tokens of one
    Audiences {
        /// The name of the audience; `default` for that of [tokens]
        name: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Users: create, invite, list, show, update, set-password,
    /// require-new-password, set-role, set-metadata, ban, unban,
    /// disable, enable, delete, import, imports, rollback
    #[command(subcommand)]
    Users(users::Users),
    /// Sessions: list, revoke
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    /// The audit trail: list, tail, export, verify, reapply
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Limits and blocked networks: list, clear, block, unblock
    #[command(subcommand)]
    Limits(limits::Limits),
    /// The queue of mails: list, flush
    #[command(subcommand)]
    Mail(mails::Mails),
    /// The webhook: rotate-secret
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Other issuers at which users sign in: list, check
    #[command(subcommand)]
    Upstream(upstream::UpstreamCommand),
    /// The machine's clock: show, confirm
    #[command(subcommand)]
    Clock(clock::Clock),
    /// Check the database, the clock, the keys and the tables, and report what is wrong
    Doctor {
        /// Ask the running process instead which networks and user agents have fetched the JWKS
        /// since the last rotation
        #[arg(long)]
        verifiers: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Databases: copy, backup, check
    #[command(subcommand)]
    Database(database::DatabaseCommand),
    /// Settings: check, show
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell of the script
        shell: clap_complete::Shell,
    },
}

/// The format in which data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table for people, no wider than the terminal
    #[default]
    Table,
    /// A table with whole ids and times, however long its lines are
    Wide,
    /// JSON for programs: a list is an object with `items`, `total` and `next`, a change an object
    /// with `written` and `database`
    Json,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // New files are readable by their owner only, because databases and keys must not be readable
    // by other users.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let cli = Cli::parse();
    let outcome = run(cli);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(&failure);
            ExitCode::from(failure.status())
        }
    }
}

/// Adds the problems of `--set` to those of the settings.
fn refuse_secrets(
    arguments: &[(String, String)],
    config: std::result::Result<Config, Vec<Problem>>,
) -> std::result::Result<Config, Vec<Problem>> {
    let refused = crate::config::refuse_secrets(arguments);
    match config {
        Ok(config) if refused.is_empty() => Ok(config),
        Ok(_) => Err(refused),
        Err(problems) => Err([refused, problems].concat()),
    }
}

fn run(cli: Cli) -> Result<()> {
    if let Some(Command::Completions { shell }) = cli.command {
        output::completions(shell, &mut Cli::command());
        return Ok(());
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    let environment =
        crate::config::texts_of_environment(std::env::vars_os()).map_err(Failure::Configuration)?;
    let scratch = match &cli.command {
        Some(Command::Dev(arguments)) => Some(dev::Scratch::make(arguments)?),
        _ => None,
    };
    let arguments = cli.set.clone();
    // The settings of `dev` are not arguments.
    let mut flags = scratch
        .as_ref()
        .map(|scratch| scratch.settings(&arguments))
        .unwrap_or_default();
    flags.extend(cli.set);
    let sources = Sources {
        file: cli.config,
        environment,
        flags,
    };
    if scratch.is_some() {
        let refused = dev::refused(
            &arguments,
            &Sources {
                flags: arguments.clone(),
                ..sources.clone()
            },
        );
        if !refused.is_empty() {
            return Err(Failure::Configuration(refused));
        }
    }
    let config = refuse_secrets(&arguments, Config::load(&sources));
    if let Some(Command::Config(command)) = cli.command {
        return config::run(&command, config);
    }
    let config = config.map_err(Failure::Configuration)?;
    if let Some(Command::Webhooks(command)) = &cli.command {
        webhooks::run(command, &config);
        return Ok(());
    }
    if let Some(Command::Upstream(command)) = &cli.command {
        return upstream::run(command, &config);
    }
    if let Some(Command::Audiences { name, output }) = &cli.command {
        return audiences::run(&config, name.as_deref(), *output);
    }
    let rules = Rules::of(&config);
    let serving = matches!(cli.command, None | Some(Command::Serve | Command::Dev(_)));
    // A second start of `dev` would create a second folder.
    if serving && scratch.is_none() {
        serve::restart_with_huge_pages();
    }
    let traces = if serving {
        Exporter::start(&config.traces)
            .map_err(|e| Failure::Startup(format!("{e} (setting traces.otlp_url)")))?
    } else {
        None
    };
    output::start_logging(&config.log, serving, traces.as_ref());
    let config = if serving {
        config
    } else {
        with_long_timeouts(config)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Internal(format!("cannot start the runtime: {e}")))?;
    let outcome = runtime.block_on(async {
        let _limit = outlive_file_limits();
        match cli.command.unwrap_or(Command::Serve) {
            Command::Serve => Box::pin(serve::run(config, None)).await,
            Command::Dev(_) => Box::pin(dev::run(config)).await,
            Command::Migrate(command) => migrate::run(command, config).await,
            Command::Keys(command) => Box::pin(keys::run(command, config)).await,
            Command::Users(command) => Box::pin(users::run(command, config)).await,
            Command::Audit(command) => Box::pin(audit::run(command, config)).await,
            Command::Sessions(command) => Box::pin(sessions::run(command, config)).await,
            Command::Limits(command) => Box::pin(limits::run(command, config)).await,
            Command::Mail(command) => Box::pin(mails::run(command, config)).await,
            Command::Clock(command) => Box::pin(clock::run(command, config)).await,
            Command::Doctor {
                output,
                verifiers: true,
            } => doctor::verifiers(output, &config).await,
            Command::Doctor {
                output,
                verifiers: false,
            } => Box::pin(doctor::run(output, config)).await,
            Command::Database(command) => Box::pin(database::run(command, config)).await,
            Command::Config(_)
            | Command::Webhooks(_)
            | Command::Audiences { .. }
            | Command::Upstream(_)
            | Command::Completions { .. } => Ok(()),
        }
    });
    if let Some(traces) = traces {
        traces.stop();
    }
    outcome.map_err(|failure| failure.explained(&rules))
}

/// Handles the signal of a file size limit (`ulimit -f`), which would end the process: with a
/// handler the write fails instead, as on a full disk.
fn outlive_file_limits() -> Option<tokio::signal::unix::Signal> {
    const SIGXFSZ: i32 = 25;
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ)).ok()
}
