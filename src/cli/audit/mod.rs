//! `audit …`: lists, follows, exports and verifies the audit trail.

mod events;
mod reapply;
mod verify;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use ipnet::IpNet;

use crate::app::App;
use crate::config::Config;
use crate::model::kernel::period::Moment;

use self::events::{Wanted, export, list, tail};
use self::reapply::reapply;
use self::verify::verify;
use super::paging::Continued;
use super::{Caution, Failure, Output, Result, build};

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List events, newest first
    #[command(
        after_help = "Examples:\n  countersign audit list --user ana@example.com --kind session. --since 7d\n  countersign audit list --ip 198.51.100.0/24 --since 1d"
    )]
    List {
        /// Only events that concern this user, by email address or id; the id also finds a deleted
        /// user
        #[arg(long)]
        user: Option<String>,
        /// Only this kind of event, or all kinds with this prefix
        #[arg(long)]
        kind: Option<String>,
        /// Only events from this IP address or network
        #[arg(long, value_name = "CIDR", value_parser = super::network)]
        ip: Option<IpNet>,
        /// Only events from this time on: 2026-11-01T00:00:00Z, 2026-11-01, yesterday, or 3d for the
        /// last three days
        #[arg(long, value_name = "TIME")]
        since: Option<Moment>,
        #[command(flatten)]
        paging: Continued,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print events as they come, one JSON object a line
    Tail,
    /// Print every event, oldest first, one JSON object a line
    Export {
        /// Only events from this time on: 2026-11-01T00:00:00Z, 2026-11-01, yesterday, or 3d for the
        /// last three days
        #[arg(long, value_name = "TIME")]
        since: Option<Moment>,
    },
    /// Recompute every chain, which finds events that were removed, changed or moved
    #[command(
        after_help = "A chain is checked up to the end that the database itself has recorded. An attacker who can write to the database can remove the last\n\
        events together with that record, or a whole chain: compare with a copy that was kept elsewhere.\n\n\
        Examples:\n  countersign audit verify --against export.jsonl\n  countersign audit verify --against countersign.log"
    )]
    Verify {
        /// Compare with an earlier `audit export`, or with a log in JSON, which contains the ends
        /// of the chains
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// After a failover or a restore: repeat what the database has lost, from an export that was
    /// kept elsewhere
    #[command(
        after_help = "Sign-outs, revocations, bans, roles, deletions, blocked networks and revoked keys are repeated. Passwords, email addresses and new accounts\n\
        are not in the audit trail: what cannot be repeated is listed. Decisions that were made after a lost event stand. An export with a line\n\
        that does not fit its chain is refused. A second run does nothing more.\n\nExample:\n  countersign audit reapply export.jsonl --dry-run"
    )]
    Reapply {
        /// A file that `audit export` has written
        export: PathBuf,
        #[command(flatten)]
        caution: Caution,
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
            ip,
            since,
            paging,
            output,
        } => {
            let wanted = Wanted {
                user,
                kind,
                network: ip,
                since,
            };
            list(app, wanted, &paging, output).await
        }
        Audit::Tail => tail(app).await,
        Audit::Export { since } => export(app, since).await,
        Audit::Verify { against, output } => verify(app, against.as_deref(), output).await,
        Audit::Reapply { export, caution } => reapply(app, &export, caution).await,
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::Usage(format!("cannot read {}: {e}", path.display())))
}
