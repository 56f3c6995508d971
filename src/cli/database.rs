//! `database …`: moves from one database to another.

use std::sync::Arc;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{self, Config, Database};
use crate::flows::ops::copy_database;
use crate::flows::ops::copy_database::Copied;
use crate::model::kernel::database_url::InvalidDatabaseUrl;
use crate::store::Db;

use super::{Failure, Output, Result, migrate, output};

#[derive(Debug, Subcommand)]
pub(super) enum DatabaseCommand {
    /// Copy users, sessions, keys and the audit trail into a database that is not in use yet
    #[command(
        after_help = "Stop every countersign on the source first; a change during the copy is detected and refused. Missing tables of the target are\ncreated. After an interruption, run the command again; it starts from the beginning. Both databases need the same master key.\n\nExample:\n  countersign database copy --from sqlite://data/countersign.db --to postgres://countersign@db/countersign"
    )]
    Copy {
        /// URL of the database to copy from
        #[arg(long, value_name = "URL")]
        from: String,
        /// URL of the database to copy to
        #[arg(long, value_name = "URL")]
        to: String,
        /// Count the rows and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

pub(super) async fn run(command: DatabaseCommand, config: Config) -> Result<()> {
    let DatabaseCommand::Copy {
        from,
        to,
        dry_run,
        output,
    } = command;
    let urls = [
        ("--from".to_owned(), from.clone()),
        ("--to".to_owned(), to.clone()),
    ];
    if let Some((argument, _)) = urls.iter().find(|(_, url)| config::holds_secret(url)) {
        return Err(Failure::Usage(format!(
            "{argument} holds a password, and every user of this machine can read the arguments of a process; leave it out and set PGPASSFILE or PGPASSWORD"
        )));
    }
    let source = open(&config, &from, false).await?;
    if dry_run {
        let found = copy_database::survey(&source, None).await?;
        show(output, &found);
        output::note("Nothing was written.");
        return Ok(());
    }
    let target = open(&config, &to, true).await?;
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
    show(output, &copied);
    output::note(
        "The row counts and sums of both sides are equal: the copy is complete. Set database.url to the target and start.",
    );
    Ok(())
}

async fn open(config: &Config, url: &str, migrate: bool) -> Result<Db> {
    let url = url.parse();
    let database = Database {
        url: url.map_err(|e: InvalidDatabaseUrl| Failure::Usage(e.to_string()))?,
        migrate,
        direct_url: None,
        prepared_statements: true,
        ..config.database.clone()
    };
    App::open_db(
        &Config {
            database,
            ..config.clone()
        },
        Arc::new(SystemClock),
    )
    .await
    .map_err(migrate::failed)
}

fn show(output: Output, copied: &Copied) {
    let rows: Vec<_> = copied
        .rows
        .iter()
        .map(|(table, rows)| vec![json!(table), json!(rows)])
        .collect();
    output::rows(output, &["table", "rows"], &rows);
}
