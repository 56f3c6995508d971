//! `audit …`: read the trail, follow it, write it out, prove it.

mod events;
mod reapply;
mod verify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;

use crate::app::App;
use crate::config::Config;

use self::events::{Wanted, export, list, tail};
use self::reapply::reapply;
use self::verify::verify;
use super::{Failure, Output, Result, build};

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List events, newest first
    #[command(
        after_help = "Example:\n  countersign audit list --user ana@example.com --kind session. --since 7d"
    )]
    List {
        /// Only what concerns this user, by address or id; the id also of one who is deleted
        #[arg(long)]
        user: Option<String>,
        /// Only this kind, or all that begin so
        #[arg(long)]
        kind: Option<String>,
        /// Only what is not older than so long
        #[arg(long, value_name = "TIME", value_parser = super::duration)]
        since: Option<Duration>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print events as they come, one JSON object a line
    Tail,
    /// Print every event, oldest first, one JSON object a line
    Export {
        /// Only what is not older than so long
        #[arg(long, value_name = "TIME", value_parser = super::duration)]
        since: Option<Duration>,
    },
    /// Recompute every chain: an event that was taken out, changed or moved shows
    #[command(
        after_help = "A chain is checked up to the end that the database itself notes. One who can write the database may cut off the last events together\n\
        with that note, or take away a whole chain: compare with a copy that was kept elsewhere.\n\n\
        Examples:\n  countersign audit verify --against export.jsonl\n  countersign audit verify --against countersign.log"
    )]
    Verify {
        /// Compare with an earlier `audit export`, or with a log in JSON, which holds the ends of
        /// the chains
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// After a failover or a restore: do again what the database has lost, from an export kept
    /// elsewhere
    #[command(
        after_help = "Sign-outs, revocations, bans, roles, deletions, blocked networks and revoked keys are done again. Passwords, addresses and new accounts are not in\n\
        the trail: what cannot be done again is listed. What was decided after a lost event stands. An export with a line that does not fit its chain is\n\
        refused. A second run does nothing more.\n\nExample:\n  countersign audit reapply export.jsonl --dry-run"
    )]
    Reapply {
        /// As `audit export` wrote it
        export: PathBuf,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(command: Audit, config: Config) -> Result<()> {
    let app = build(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Audit) -> Result<()> {
    match command {
        Audit::List {
            user,
            kind,
            since: age,
            limit,
            output,
        } => {
            let wanted = Wanted {
                user,
                kind,
                age,
                limit,
            };
            list(app, wanted, output).await
        }
        Audit::Tail => tail(app).await,
        Audit::Export { since: age } => export(app, age).await,
        Audit::Verify { against } => verify(app, against.as_deref()).await,
        Audit::Reapply {
            export,
            dry_run,
            yes,
        } => reapply(app, &export, dry_run, yes).await,
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::Usage(format!("cannot read {}: {e}", path.display())))
}
