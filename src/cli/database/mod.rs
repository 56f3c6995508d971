//! `database …`: moves from one database to another; makes and checks backups.

mod backups;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{self, Config, Database};
use crate::flows::ops::copy_database;
use crate::flows::ops::copy_database::Copied;
use crate::model::kernel::database_url::{DatabaseUrl, InvalidDatabaseUrl};
use crate::store::Db;
use crate::store::engine::copy_target::CopyTarget;

use super::table::text;
use super::{Failure, Output, Result, doctor, migrate, output};

#[derive(Debug, Subcommand)]
pub(super) enum DatabaseCommand {
    /// Copy users, sessions, keys and the audit trail into a database that is not in use yet
    #[command(
        after_help = "Check the target with --dry-run while the source is still served from. Then stop every countersign on the source; a change during the\ncopy is detected and refused. Missing tables of the target are created. After an interruption, run the command again; it starts from the\nbeginning. Both databases need the same master key.\n\nExamples:\n  countersign database copy --from sqlite://data/countersign.db --to postgres://countersign@db/countersign --dry-run\n  countersign database copy --from sqlite://data/countersign.db --to postgres://countersign@db/countersign"
    )]
    Copy {
        /// URL of the database to copy from
        #[arg(long, value_name = "URL")]
        from: String,
        /// URL of the database to copy to
        #[arg(long, value_name = "URL")]
        to: String,
        /// Count the rows, check that the target can be written and is not in use, and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Write a consistent copy of the SQLite database into a new file, while the service is serving
    #[command(
        after_help = "The file has mode 0600 and is checked before it gets its name; a file that exists is not overwritten. The answer names the master key\nthat the backup needs: keep that key apart from it. Postgres has pg_dump.\n\nExample:\n  countersign database backup /backup/countersign-2026-11-29.db"
    )]
    Backup {
        /// The file to create
        file: PathBuf,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Check a backup: its pages, its schema, and whether the settings name the master key that it
    /// needs
    #[command(
        after_help = "Opens the file read-only and needs no other database. Exits with 1 if anything is wrong.\n\nExample:\n  COUNTERSIGN_MASTER_KEY_FILE=/safe/master.key countersign database check /backup/countersign-2026-11-29.db"
    )]
    Check {
        /// A file that `database backup` has written, or another copy of the database
        file: PathBuf,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

pub(super) async fn run(command: DatabaseCommand, config: Config) -> Result<()> {
    match command {
        DatabaseCommand::Copy {
            from,
            to,
            dry_run,
            output,
        } => Box::pin(copy(&config, from, to, dry_run, output)).await,
        DatabaseCommand::Backup { file, output } => {
            Box::pin(backups::make(config, &file, output)).await
        }
        DatabaseCommand::Check { file, output } => backups::check(&config, &file, output).await,
    }
}

async fn copy(
    config: &Config,
    from: String,
    to: String,
    dry_run: bool,
    output: Output,
) -> Result<()> {
    let urls = [
        ("--from".to_owned(), from.clone()),
        ("--to".to_owned(), to.clone()),
    ];
    if let Some((argument, _)) = urls.iter().find(|(_, url)| config::holds_secret(url)) {
        return Err(Failure::Usage(format!(
            "{argument} holds a password, and every user of this machine can read the arguments of a process; leave it out and set PGPASSFILE or PGPASSWORD"
        )));
    }
    let source = open(config, &from, false).await?;
    let found =
        copy_database::examine(&parse(&to)?, &App::db_options(&at(config, &to, true)?)).await?;
    if dry_run {
        let rows = copy_database::survey(&source, None).await?;
        show(output, &rows, &at(config, &to, true)?, false);
        output::note(&format!("{} Nothing was written.", ready(&found)));
        return Ok(());
    }
    let target = open(config, &to, true).await?;
    let total = copy_database::survey(&source, Some(&target))
        .await?
        .rows
        .iter()
        .map(|(_, rows)| u64::try_from(*rows).unwrap_or(0))
        .sum();
    let style = ProgressStyle::with_template(
        "{msg:12} {wide_bar} {human_pos}/{human_len} rows, {eta} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style);
    let copied = copy_database::copy(&source, &target, |table, rows| {
        bar.set_message(table);
        bar.inc(rows);
    })
    .await;
    bar.finish_and_clear();
    let copied = copied?;
    source.close().await;
    target.close().await;
    show(output, &copied, &at(config, &to, true)?, true);
    output::note(
        "The row counts and sums of both sides are equal: the copy is complete. Set database.url to the target and start.",
    );
    Ok(())
}

/// Returns the settings with another database.
fn at(config: &Config, url: &str, migrate: bool) -> Result<Config> {
    let database = Database {
        url: parse(url)?,
        migrate,
        direct_url: None,
        prepared_statements: true,
        ..config.database.clone()
    };
    Ok(Config {
        database,
        ..config.clone()
    })
}

async fn open(config: &Config, url: &str, migrate: bool) -> Result<Db> {
    App::open_db(&at(config, url, migrate)?, Arc::new(SystemClock))
        .await
        .map_err(migrate::failed)
}

fn parse(url: &str) -> Result<DatabaseUrl> {
    url.parse()
        .map_err(|e: InvalidDatabaseUrl| Failure::Usage(e.to_string()))
}

/// Says what the copy will do at its target.
fn ready(target: &CopyTarget) -> String {
    if !target.exists {
        return "The target does not exist and can be created.".into();
    }
    let schema = match target.missing_migrations {
        0 => "its schema is current".into(),
        missing => format!("{missing} migration(s) will be applied"),
    };
    let rows = if target.users == 0 {
        "it has no users".into()
    } else {
        format!(
            "the {} user(s) of an interrupted copy will be replaced",
            target.users
        )
    };
    format!("The target can be written, {schema} and {rows}.")
}

fn show(form: Output, copied: &Copied, target: &Config, written: bool) {
    let item = |(table, rows): &(_, _)| json!({ "table": table, "rows": rows });
    let items: Vec<_> = copied.rows.iter().map(item).collect();
    if form == Output::Json {
        let members = [
            ("total", json!(items.len())),
            ("items", json!(items)),
            ("next", json!(null)),
        ];
        output::record(form, target, written, &members);
    } else {
        let columns = [text("table"), text("rows")];
        output::rows(form, &columns, &output::objects(items));
    }
}
