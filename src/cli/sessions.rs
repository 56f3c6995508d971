//! `sessions …`: lists and ends sessions.

use clap::{ArgGroup, Subcommand};
use serde_json::json;

use crate::app::App;
use crate::config::Config;
use crate::flows::account::manage_users;
use crate::flows::permit::Permitted;
use crate::flows::session::manage_sessions;
use crate::flows::session::manage_sessions::{Page, Which};
use crate::model::kernel::id::SessionId;
use crate::model::kernel::time::Timestamp;

use super::values::Moment;
use super::{Failure, Output, Result, ask, build, operator, output};

#[derive(Debug, Subcommand)]
pub(super) enum Sessions {
    /// List the live sessions of a user
    List {
        /// Email address or id of the user
        #[arg(long)]
        user: String,
        /// The number of sessions, newest first; at most 100
        #[arg(long, default_value_t = manage_sessions::PAGE, value_parser = clap::value_parser!(i64).range(1..=manage_sessions::PAGE))]
        limit: i64,
        /// Only sessions that began before this one: the last id of the previous page
        #[arg(long)]
        before: Option<SessionId>,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// End sessions: one by its id, all of a user, or all of all users
    #[command(
        group(ArgGroup::new("which").required(true).args(["id", "user", "all"])),
        after_help = "Examples:\n  countersign sessions revoke --user ana@example.com\n  countersign sessions revoke --user ana@example.com --since 2026-11-28T22:00:00Z\n\nAfter restoring a backup run `countersign sessions revoke --all --yes`: the backup brings signed-out sessions and used links back, and this ends both."
    )]
    Revoke {
        /// Id of the session
        id: Option<String>,
        /// All sessions of the user with this email address or id
        #[arg(long)]
        user: Option<String>,
        /// With --user: only sessions that began since; a time, a day, or a duration back such as 3h
        #[arg(long, value_name = "TIME", requires = "user", value_parser = super::moment)]
        since: Option<Moment>,
        /// All sessions of all users
        #[arg(long)]
        all: bool,
        /// Show what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Skip the confirmation prompt
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
        Sessions::List {
            user,
            limit,
            before,
            output,
        } => {
            let user = manage_users::find(app, Permitted::as_operator(), &user).await?;
            let sessions = manage_sessions::list_of_user(
                app,
                Permitted::as_operator(),
                user.id,
                Page {
                    limit,
                    before,
                    own: false,
                },
            )
            .await?;
            let row = |s: &crate::model::session::session::Session| {
                vec![
                    json!(s.id),
                    json!(s.created_at),
                    json!(s.updated_at),
                    json!(s.expires_at),
                    json!(s.ip_address),
                    json!(s.user_agent),
                ]
            };
            let rows: Vec<_> = sessions.iter().map(row).collect();
            output::rows(
                output,
                &[
                    "id",
                    "createdAt",
                    "updatedAt",
                    "expiresAt",
                    "ipAddress",
                    "userAgent",
                ],
                &rows,
            );
            if let Some(last) = sessions
                .last()
                .filter(|_| i64::try_from(sessions.len()).is_ok_and(|n| n >= limit))
            {
                output::note(&format!("There may be more: --before {}", last.id));
            }
        }
        Sessions::Revoke {
            user: Some(user),
            since: Some(since),
            dry_run,
            ..
        } => revoke_since(app, &user, since.before(app.now()), dry_run).await?,
        Sessions::Revoke {
            id,
            user,
            all,
            dry_run,
            yes,
            since: _,
        } => {
            let named = if all {
                None
            } else {
                Some(which(app, id, user).await?)
            };
            if dry_run {
                let words = named.map_or_else(
                    || "every session, and every link in a mail,".into(),
                    |(_, words)| words,
                );
                output::note(&format!("{words} would end. Nothing was written."));
                return Ok(());
            }
            let which = if let Some((which, _)) = named {
                which
            } else {
                ask::confirm(
                    &app.config,
                    "End all sessions of all users, and every link that was sent in a mail?",
                    yes,
                )?;
                Which::Everybody
            };
            let ended =
                manage_sessions::revoke(app, Permitted::as_operator(), which, &operator()).await?;
            if ended.complete {
                output::changed(
                    &app.config,
                    &format!("{} session(s) ended.", ended.marked.len()),
                );
            } else {
                output::changed(
                    &app.config,
                    "All of these sessions have ended. There are many, so the server marks their rows within the next minutes.",
                );
            }
        }
    }
    Ok(())
}

async fn revoke_since(app: &App, user: &str, since: Timestamp, dry_run: bool) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let operator_may = Permitted::as_operator();
    if dry_run {
        let count = manage_sessions::count_since(app, operator_may, user.id, since).await?;
        let or_more = if i64::try_from(count).is_ok_and(|count| count >= manage_sessions::PAGE) {
            " or more"
        } else {
            ""
        };
        output::note(&format!(
            "{count}{or_more} session(s) of {} that began since {since} would end. Nothing was written.",
            user.email
        ));
        return Ok(());
    }
    let ended =
        manage_sessions::revoke_since(app, operator_may, user.id, since, &operator()).await?;
    output::changed(
        &app.config,
        &format!("{ended} session(s) that began since {since} ended."),
    );
    Ok(())
}

async fn which(app: &App, id: Option<String>, user: Option<String>) -> Result<(Which, String)> {
    if let Some(user) = user {
        let user = manage_users::find(app, Permitted::as_operator(), &user).await?;
        return Ok((
            Which::OfUser {
                user: user.id,
                except: None,
            },
            format!("every session of {}", user.email),
        ));
    }
    let id = id.unwrap_or_default();
    let parsed = id.parse().map_err(|_| {
        Failure::Usage(format!(
            "{id:?} is not a session id; see `countersign sessions list --user …`"
        ))
    })?;
    Ok((Which::One(parsed), format!("session {id}")))
}
