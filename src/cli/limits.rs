//! `limits …`: lists and clears limits of accounts and networks, and blocks networks.

use std::net::IpAddr;
use std::time::Duration;

use clap::{ArgGroup, Subcommand};
use ipnet::IpNet;
use serde_json::json;

use crate::app::App;
use crate::config::Config;
use crate::flows::limit::operate_limits;
use crate::flows::limit::operate_limits::Whose;
use crate::flows::permit::Permitted;
use crate::model::account::email::Email;
use crate::model::limit::block::Block;
use crate::model::limit::rate::State;

use super::output::{self, List};
use super::paging::Numbered;
use super::table::{Column, id, name, text, time};
use super::{Failure, Output, Result, ask, build, network, operator};

#[derive(Debug, Subcommand)]
pub(super) enum Limits {
    /// List the blocked networks and the limits that are not back to zero, the longest first
    #[command(
        after_help = "What a limit counts is hashed: the table contains neither email addresses nor networks."
    )]
    List {
        #[command(flatten)]
        paging: Numbered,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Forget counts; running servers follow within a second
    #[command(group(ArgGroup::new("whose").required(true).args(["email", "network", "all"])))]
    Clear {
        /// All counts of the account with this email address, from any network
        #[arg(long)]
        email: Option<Email>,
        /// All counts of the network of this IP address
        #[arg(long, value_name = "ADDRESS")]
        network: Option<IpAddr>,
        /// All counts
        #[arg(long)]
        all: bool,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Refuse every request from a network for a time, with 429; running servers follow within a
    /// second
    #[command(
        after_help = "Examples:\n  countersign limits block 198.51.100.0/24 --for 2h --reason flood\n  countersign limits block 2001:db8:1:2::/64 --for 1d"
    )]
    Block {
        /// Such as 198.51.100.0/24, or a single IP address
        #[arg(value_name = "CIDR", value_parser = network)]
        network: IpNet,
        /// How long, at most 30 days
        #[arg(long = "for", value_name = "TIME", value_parser = super::block_length)]
        time: Duration,
        /// The reason; stored with the block and in the audit trail
        #[arg(long, default_value = "")]
        reason: String,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Lift a block
    Unblock {
        /// The network as it was blocked
        #[arg(value_name = "CIDR", value_parser = network)]
        network: IpNet,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

pub(super) async fn run(command: Limits, config: Config) -> Result<()> {
    let app = build(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Limits) -> Result<()> {
    match command {
        Limits::List { paging, output } => list(app, paging, output).await?,
        Limits::Clear {
            email,
            network,
            all: _,
            yes,
            output,
        } => {
            let whose = match (email, network) {
                (Some(email), _) => Whose::Account(email.to_string()),
                (None, Some(address)) => Whose::Network(address),
                (None, None) => Whose::All,
            };
            if matches!(whose, Whose::All) {
                ask::confirm(
                    &app.config,
                    "Forget every limit? Attackers who are guessing passwords can continue.",
                    yes,
                )?;
            }
            let cleared =
                operate_limits::clear(app, Permitted::as_operator(), whose, &operator()).await?;
            output::changed(
                &app.config,
                output,
                &format!("{cleared} limit(s) cleared."),
                &[("cleared", json!(cleared))],
            );
        }
        Limits::Block {
            network,
            time,
            reason,
            output,
        } => {
            let ends_at = operate_limits::block(
                app,
                Permitted::as_operator(),
                network,
                time,
                &reason,
                &operator(),
            )
            .await?;
            output::changed(
                &app.config,
                output,
                &format!("{network} is blocked until {ends_at}."),
                &[
                    ("network", json!(network.to_string())),
                    ("until", json!(ends_at)),
                    ("reason", json!(reason)),
                ],
            );
        }
        Limits::Unblock { network, output } => {
            if !operate_limits::unblock(app, Permitted::as_operator(), network, &operator()).await?
            {
                return Err(Failure::Refused(format!(
                    "{network} is not blocked; see `countersign limits list`"
                )));
            }
            output::changed(
                &app.config,
                output,
                &format!("The block of {network} is lifted."),
                &[("network", json!(network.to_string()))],
            );
        }
    }
    Ok(())
}

const COLUMNS: [Column; 5] = [
    name("rule"),
    id("whom"),
    text("count"),
    time("until"),
    text("reason"),
];

async fn list(app: &App, paging: Numbered, form: Output) -> Result<()> {
    let (limit, offset) = (paging.limit(), paging.offset());
    let found = operate_limits::list(app, Permitted::as_operator(), limit, offset).await?;
    let block = |b: &Block| json!({ "rule": "block", "whom": b.network.to_string(), "count": null, "until": b.ends_at, "reason": b.reason });
    let count = |(key, state): &(String, State)| {
        let (rule, whom) = key.split_once(':').unwrap_or((key, ""));
        json!({ "rule": rule, "whom": whom, "count": state.level, "until": state.free_at, "reason": "" })
    };
    let blocks = found.blocks.iter().map(block);
    let items = blocks.chain(found.limits.iter().map(count)).collect();
    let total = u64::try_from(found.total).unwrap_or(0);
    let list = List {
        noun: "limits",
        columns: &COLUMNS,
        items: output::objects(items),
        total,
        next: paging.next(total),
    };
    output::list(form, &list);
    Ok(())
}
