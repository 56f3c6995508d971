//! `users …`: a user is named by address or id.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::config::Config;
use crate::flows::authority::{self, Authority};
use crate::flows::manage_users::{self, New};
use crate::flows::{administer_users, change_password, manage_sessions};
use crate::model::user::User;

use super::{Failure, Output, Result, ask, build, operator, output};

#[derive(Debug, Subcommand)]
pub(super) enum Users {
    /// Make a user; the password is read from the terminal or from standard input
    #[command(after_help = "Example:\n  echo \"$PASSWORD\" | countersign users create ana@example.com --name Ana --email-verified")]
    Create {
        /// Address
        email: String,
        /// Name
        #[arg(long, default_value = "")]
        name: String,
        /// Comma-joined roles
        #[arg(long, default_value = "user", value_parser = roles)]
        role: String,
        /// The mailbox is known to be the user's
        #[arg(long)]
        email_verified: bool,
        /// JSON object that feeds custom claims
        #[arg(long, default_value = "{}", value_parser = metadata)]
        metadata: Map<String, Value>,
        /// Check everything and write nothing
        #[arg(long)]
        dry_run: bool,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// List users, oldest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Skip so many
        #[arg(long, default_value_t = 0)]
        offset: u32,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Show one user
    Show {
        /// Address or id
        user: String,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Set a password, read as in `create`; every session of the user ends
    SetPassword {
        /// Address or id
        user: String,
        /// Check everything and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Replace a user's roles: `user`, `admin`, those of [roles] in the settings, or several joined by commas
    SetRole {
        /// Address or id
        user: String,
        /// Such as admin
        #[arg(value_parser = roles)]
        role: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Ban a user, for ever or for a time; every session of the user ends
    Ban {
        /// Address or id
        user: String,
        /// What the user is not told, and other admins are
        #[arg(long)]
        reason: Option<String>,
        /// Such as 7d; without it for ever
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        time: Option<std::time::Duration>,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Let a banned user in again
    Unban {
        /// Address or id
        user: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete a user with every session and account; there is no way back
    Delete {
        /// Address or id
        user: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Shut a user out; every session of the user ends
    Disable {
        /// Address or id
        user: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Let a user in again
    Enable {
        /// Address or id
        user: String,
        /// Say what would be done and write nothing
        #[arg(long)]
        dry_run: bool,
    },
}

fn metadata(text: &str) -> std::result::Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))
}

/// RFC 6749 names no form for roles; ours is one that no comma or space can hide in.
fn roles(text: &str) -> std::result::Result<String, String> {
    let good = |role: &str| (1..=32).contains(&role.len()) && role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
    if text.split(',').all(good) { Ok(text.to_owned()) } else { Err("roles are lower-case letters, digits, - and _, joined by commas".into()) }
}

pub(super) async fn run(command: Users, config: Config) -> Result<()> {
    let app = build(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Users) -> Result<()> {
    match command {
        Users::Create { email, name, role, email_verified, metadata, dry_run, output } => {
            let email = email.parse().map_err(|e| Failure::Usage(format!("{email}: {e}")))?;
            let password = ask::password()?.to_string();
            let new = New { email, name, image: None, password: Some(password), role, email_verified, metadata };
            if dry_run {
                manage_users::check_new(app, &new).await?;
                output::note("The user could be made. Nothing was written.");
                return Ok(());
            }
            show(output, &manage_users::create(app, Authority::Operator, new, &operator()).await?);
        }
        Users::List { limit, offset, output } => list(output, &manage_users::list(app, limit, offset).await?),
        Users::Show { user, output } => show(output, &manage_users::find(app, &user).await?),
        Users::SetPassword { user, dry_run } => {
            let user = manage_users::find(app, &user).await?;
            let password = ask::password()?;
            if dry_run {
                change_password::check_new(app, &password)?;
                output::note("The password could be set. Nothing was written.");
                return Ok(());
            }
            change_password::set_password(app, &user, &password, &operator()).await?;
            output::note(&format!("{} has a new password and is signed out everywhere.", user.email));
        }
        Users::SetRole { user, role, dry_run } => {
            let user = manage_users::find(app, &user).await?;
            authority::check_roles(app, &role)?;
            if dry_run {
                output::note(&format!("{} would be {role} and is {}. Nothing was written.", user.email, user.role));
                return Ok(());
            }
            let user = administer_users::set_role(app, Authority::Operator, user.id, role, &operator()).await?;
            output::note(&format!("{} is now {}.", user.email, user.role));
        }
        Users::Ban { user, reason, time, dry_run, yes } => {
            let user = manage_users::find(app, &user).await?;
            let sessions = manage_sessions::list(app, user.id).await?.len();
            if dry_run {
                output::note(&format!("{} would be banned and {sessions} session(s) would end.", user.email));
                return Ok(());
            }
            ask::confirm(&format!("Ban {} and end {sessions} session(s)?", user.email), yes)?;
            let user = administer_users::ban(app, Authority::Operator, user.id, reason, time, &operator()).await?;
            let until = user.ban_expires_at.map_or_else(|| "for ever".to_owned(), |end| format!("until {end}"));
            output::note(&format!("{} is banned {until}.", user.email));
        }
        Users::Unban { user, dry_run } => {
            let user = manage_users::find(app, &user).await?;
            if dry_run {
                output::note(&format!("{} would be let in again.", user.email));
                return Ok(());
            }
            administer_users::unban(app, Authority::Operator, user.id, &operator()).await?;
            output::note(&format!("{} is no longer banned.", user.email));
        }
        Users::Delete { user, dry_run, yes } => {
            let user = manage_users::find(app, &user).await?;
            if dry_run {
                output::note(&format!("{} would be deleted with everything.", user.email));
                return Ok(());
            }
            ask::confirm(&format!("Delete {} with every session and account?", user.email), yes)?;
            administer_users::remove(app, Authority::Operator, user.id, &operator()).await?;
            output::note(&format!("{} is deleted.", user.email));
        }
        Users::Disable { user, dry_run, yes } => {
            let user = manage_users::find(app, &user).await?;
            let sessions = manage_sessions::list(app, user.id).await?.len();
            if dry_run {
                output::note(&format!("{} would be shut out and {sessions} session(s) would end.", user.email));
                return Ok(());
            }
            ask::confirm(&format!("Shut {} out and end {sessions} session(s)?", user.email), yes)?;
            set_disabled(app, &user, true).await?;
        }
        Users::Enable { user, dry_run } => {
            let user = manage_users::find(app, &user).await?;
            if dry_run {
                output::note(&format!("{} would be let in again.", user.email));
                return Ok(());
            }
            set_disabled(app, &user, false).await?;
        }
    }
    Ok(())
}

async fn set_disabled(app: &App, user: &User, disabled: bool) -> Result<()> {
    let changed = manage_users::set_disabled(app, user.id, disabled, &operator()).await?;
    let state = if disabled { "disabled" } else { "enabled" };
    output::note(&format!("{} {} {state}.", user.email, if changed { "is now" } else { "was already" }));
    Ok(())
}

fn list(format: Output, users: &[User]) {
    let rows: Vec<_> = users.iter().map(|u| vec![json!(u.id), json!(u.email), json!(u.name), json!(u.role), json!(state(u)), json!(u.created_at)]).collect();
    output::rows(format, &["id", "email", "name", "role", "state", "createdAt"], &rows);
}

fn show(format: Output, u: &User) {
    output::object(
        format,
        &[
            ("id", json!(u.id)),
            ("email", json!(u.email)),
            ("emailVerified", json!(u.email_verified)),
            ("name", json!(u.name)),
            ("role", json!(u.role)),
            ("state", json!(state(u))),
            ("metadata", Value::String(Value::Object(u.metadata.clone()).to_string())),
            ("createdAt", json!(u.created_at)),
            ("updatedAt", json!(u.updated_at)),
        ],
    );
}

fn state(user: &User) -> &'static str {
    match (user.disabled_at, user.banned) {
        (Some(_), _) => "disabled",
        (None, true) => "banned",
        (None, false) => "active",
    }
}
