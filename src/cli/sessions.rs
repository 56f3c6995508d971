//! `sessions …`: look at them and end them.

use clap::{ArgGroup, Subcommand};
use serde_json::json;

use crate::app::App;
use crate::config::Config;
use crate::flows::manage_sessions::{self, Which};
use crate::flows::manage_users;

use super::{Failure, Output, Result, ask, build, operator, output};

#[derive(Debug, Subcommand)]
pub(super) enum Sessions {
    /// List the live sessions of a user
    List {
        /// Address or id
        #[arg(long)]
        user: String,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// End sessions: one by its id, all of a user, or everybody's
    #[command(
        group(ArgGroup::new("which").required(true).args(["id", "user", "all"])),
        after_help = "After restoring a backup run `countersign sessions revoke --all --yes`: the backup brings signed-out sessions back."
    )]
    Revoke {
        /// The session's id
        id: Option<String>,
        /// All sessions of this user, by address or id
        #[arg(long)]
        user: Option<String>,
        /// Everybody's
        #[arg(long)]
        all: bool,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(command: Sessions, config: Config) -> Result<()> {
    let app = build(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Sessions) -> Result<()> {
    match command {
        Sessions::List { user, output } => {
            let user = manage_users::find(app, &user).await?;
            let sessions = manage_sessions::list(app, user.id).await?;
            let row = |s: &crate::model::session::Session| {
                vec![json!(s.id), json!(s.created_at), json!(s.updated_at), json!(s.expires_at), json!(s.ip_address), json!(s.user_agent)]
            };
            let rows: Vec<_> = sessions.iter().map(row).collect();
            output::rows(output, &["id", "createdAt", "updatedAt", "expiresAt", "ipAddress", "userAgent"], &rows);
        }
        Sessions::Revoke { id, user, all, dry_run, yes } => {
            let named = if all { None } else { Some(which(app, id, user).await?) };
            if dry_run {
                let words = named.map_or_else(|| "every session".into(), |(_, words)| words);
                output::note(&format!("{words} would end. Nothing was written."));
                return Ok(());
            }
            let ended = if let Some((which, _)) = named {
                manage_sessions::revoke(app, which, &operator()).await?
            } else {
                ask::confirm("End the sessions of everybody?", yes)?;
                manage_sessions::revoke_all(app, &operator()).await?
            };
            output::note(&format!("{ended} session(s) ended."));
        }
    }
    Ok(())
}

async fn which(app: &App, id: Option<String>, user: Option<String>) -> Result<(Which, String)> {
    if let Some(user) = user {
        let user = manage_users::find(app, &user).await?;
        return Ok((Which::OfUser { user: user.id, except: None }, format!("every session of {}", user.email)));
    }
    let id = id.unwrap_or_default();
    let parsed = id.parse().map_err(|_| Failure::Usage(format!("{id:?} is not a session id; see `countersign sessions list --user …`")))?;
    Ok((Which::One(parsed), format!("session {id}")))
}
