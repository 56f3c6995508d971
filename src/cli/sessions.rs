//! `sessions …`: lists and ends sessions.

use clap::{ArgGroup, Subcommand};
use serde_json::json;

use crate::app::App;
use crate::config::Config;
use crate::flows::account::manage_users;
use crate::flows::permit::Permitted;
use crate::flows::session::manage_sessions;
use crate::flows::session::manage_sessions::{Page, Which};
use crate::model::kernel::period::Moment;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Session;

use super::output::{self, List};
use super::paging::Continued;
use super::table::{Column, id, name, text, time};
use super::{Caution, Failure, Output, Result, Trial, build, operator};

#[derive(Debug, Subcommand)]
pub(super) enum Sessions {
    /// List the live sessions of a user, newest first
    List {
        /// Email address or id of the user
        #[arg(long)]
        user: String,
        #[command(flatten)]
        paging: Continued,
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
        /// With --user: only sessions that began since; 2026-11-01T00:00:00Z, 2026-11-01, yesterday or 3h
        #[arg(long, value_name = "TIME", requires = "user")]
        since: Option<Moment>,
        /// All sessions of all users
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        caution: Caution,
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
            paging,
            output,
        } => list(app, &user, &paging, output).await,
        Sessions::Revoke {
            user: Some(user),
            since: Some(since),
            caution,
            ..
        } => revoke_since(app, &user, since.at(app.now()), caution.trial).await,
        Sessions::Revoke {
            id,
            user,
            all,
            caution,
            since: _,
        } => {
            let named = if all {
                None
            } else {
                Some(which(app, id, user).await?)
            };
            revoke(app, named, caution).await
        }
    }
}

const COLUMNS: [Column; 7] = [
    id("id"),
    time("createdAt"),
    time("updatedAt"),
    time("expiresAt"),
    name("refreshRetry"),
    name("ipAddress"),
    text("userAgent"),
];

async fn list(app: &App, user: &str, paging: &Continued, form: Output) -> Result<()> {
    let not_a_page = |text: &String| {
        Failure::Usage(format!("--page {text} is not `next` of a page of sessions"))
    };
    let mut before = match &paging.page {
        Some(text) => Some(text.parse().map_err(|_| not_a_page(text))?),
        None => None,
    };
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let total = manage_sessions::count_of_user(app, Permitted::as_operator(), user.id).await?;
    let (mut sessions, mut is_last) = (Vec::<Session>::new(), false);
    while sessions.len() <= paging.limit() && !is_last {
        let page = Page {
            before,
            ..manage_sessions::FIRST
        };
        let found =
            manage_sessions::list_of_user(app, Permitted::as_operator(), user.id, page).await?;
        before = found.last().map(|last| last.id);
        is_last = found.is_empty();
        sessions.extend(found);
    }
    let more = sessions.len() > paging.limit();
    sessions.truncate(paging.limit());
    let item = |s: &Session| {
        json!({
            "id": s.id,
            "createdAt": s.created_at,
            "updatedAt": s.updated_at,
            "expiresAt": s.expires_at,
            "refreshRetry": s.retry.as_str(),
            "ipAddress": s.ip_address,
            "userAgent": s.user_agent,
        })
    };
    let next = sessions.last().filter(|_| more);
    let list = List {
        noun: "sessions",
        columns: &COLUMNS,
        items: output::objects(sessions.iter().map(item).collect()),
        total,
        next: json!(next.map(|last| last.id)),
    };
    output::list(form, &list);
    Ok(())
}

/// Ends the named sessions, or all of all users.
async fn revoke(app: &App, named: Option<(Which, String)>, caution: Caution) -> Result<()> {
    let Trial { dry_run, output } = caution.trial;
    let words = named.as_ref().map_or_else(
        || "every session, and every link in a mail,".to_owned(),
        |(_, words)| words.clone(),
    );
    if dry_run {
        let members = [("of", json!(words.trim_end_matches(',')))];
        output::planned(
            &app.config,
            output,
            &format!("{words} would end."),
            &members,
        );
        return Ok(());
    }
    let which = if let Some((which, _)) = named {
        which
    } else {
        caution.confirm(
            app,
            "End all sessions of all users, and every link that was sent in a mail?",
        )?;
        Which::Everybody
    };
    let ended = manage_sessions::revoke(app, Permitted::as_operator(), which, &operator()).await?;
    let members = [
        ("of", json!(words.trim_end_matches(','))),
        ("ended", json!(ended.complete.then_some(ended.marked.len()))),
    ];
    let text = if ended.complete {
        format!("{} session(s) ended.", ended.marked.len())
    } else {
        "All of these sessions have ended. There are many, so the server marks their rows within the next minutes.".to_owned()
    };
    output::changed(&app.config, output, &text, &members);
    Ok(())
}

async fn revoke_since(app: &App, user: &str, since: Timestamp, trial: Trial) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let operator_may = Permitted::as_operator();
    let of = format!("sessions of {} that began since {since}", user.email);
    if trial.dry_run {
        let count = manage_sessions::count_since(app, operator_may, user.id, since).await?;
        let or_more = if i64::try_from(count).is_ok_and(|count| count >= manage_sessions::PAGE) {
            " or more"
        } else {
            ""
        };
        let text = format!(
            "{count}{or_more} session(s) of {} that began since {since} would end.",
            user.email
        );
        let members = [("of", json!(of)), ("sessions", json!(count))];
        output::planned(&app.config, trial.output, &text, &members);
        return Ok(());
    }
    let ended =
        manage_sessions::revoke_since(app, operator_may, user.id, since, &operator()).await?;
    let text = format!("{ended} session(s) that began since {since} ended.");
    let members = [("of", json!(of)), ("ended", json!(ended))];
    output::changed(&app.config, trial.output, &text, &members);
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
            "{id:?} is not a session id; see `countersign sessions list --user … --output wide`"
        ))
    })?;
    Ok((Which::One(parsed), format!("session {id}")))
}
