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
use crate::model::limit::block;

use super::{Failure, Output, Result, ask, build, network, operator, output};

#[derive(Debug, Subcommand)]
pub(super) enum Limits {
    /// List the blocked networks and the limits that are not back to zero, the longest first
    #[command(
        after_help = "What a limit counts is hashed: the table contains neither email addresses nor networks."
    )]
    List {
        /// The greatest number of limits to list
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Forget counts; running servers follow within a second
    #[command(group(ArgGroup::new("whose").required(true).args(["email", "network", "all"])))]
    Clear {
        /// All counts of the account with this email address, from any network
        #[arg(long)]
        email: Option<String>,
        /// All counts of the network of this IP address
        #[arg(long, value_name = "ADDRESS")]
        network: Option<IpAddr>,
        /// All counts
        #[arg(long)]
        all: bool,
        /// Skip the confirmation prompt
        #[arg(long)]
        yes: bool,
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
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        time: Duration,
        /// The reason; stored with the block and in the audit trail
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Lift a block
    Unblock {
        /// The network as it was blocked
        #[arg(value_name = "CIDR", value_parser = network)]
        network: IpNet,
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
        Limits::List { limit, output } => list(app, limit, output).await?,
        Limits::Clear {
            email,
            network,
            all: _,
            yes,
        } => {
            let whose = match (email, network) {
                (Some(email), _) => Whose::Account(
                    email
                        .parse::<crate::model::account::email::Email>()
                        .map_err(|e| Failure::Usage(e.to_string()))?
                        .to_string(),
                ),
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
            output::changed(&app.config, &format!("{cleared} limit(s) cleared."));
        }
        Limits::Block {
            network,
            time,
            reason,
        } => {
            if time.is_zero() || time > block::LONGEST {
                return Err(Failure::Usage(
                    "--for must be longer than zero and at most 30 days".into(),
                ));
            }
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
                &format!("{network} is blocked until {ends_at}."),
            );
        }
        Limits::Unblock { network } => {
            if !operate_limits::unblock(app, Permitted::as_operator(), network, &operator()).await?
            {
                return Err(Failure::Refused(format!(
                    "{network} is not blocked; see `countersign limits list`"
                )));
            }
            output::changed(&app.config, &format!("The block of {network} is lifted."));
        }
    }
    Ok(())
}

async fn list(app: &App, limit: u32, form: Output) -> Result<()> {
    let (limits, blocks) =
        operate_limits::list(app, Permitted::as_operator(), limit.into()).await?;
    let mut rows: Vec<_> = blocks
        .iter()
        .map(|b| {
            vec![
                json!("block"),
                json!(b.network.to_string()),
                json!(null),
                json!(b.ends_at),
                json!(b.reason),
            ]
        })
        .collect();
    rows.extend(limits.iter().map(|(key, state)| {
        let (rule, whom) = key.split_once(':').unwrap_or((key, ""));
        vec![
            json!(rule),
            json!(whom),
            json!(state.level),
            json!(state.free_at),
            json!(""),
        ]
    }));
    output::rows(form, &["rule", "whom", "count", "until", "reason"], &rows);
    Ok(())
}
