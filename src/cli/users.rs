//! `users …`: a user is named by address or id.

use serde_json::{Value, json};

use crate::app::App;
use crate::config::Config;
use crate::flows::account::administer_users::{
    Changes, Column, Condition, Operand, Operator, Search,
};
use crate::flows::account::invite_user;
use crate::flows::account::invite_user::Invitation;
use crate::flows::account::manage_users;
use crate::flows::account::manage_users::New;
use crate::flows::account::{administer_users, change_password};
use crate::flows::permit::Permitted;
use crate::flows::session::manage_sessions;
use crate::model::account::user::User;
use crate::model::kernel::id::UserId;
use crate::model::kernel::origin::is_trusted_redirect;
use crate::model::kernel::time::Timestamp;

use super::user_arguments::Users;
use super::{Failure, Output, Result, ask, build, operator, output};

pub(super) async fn run(command: Users, config: Config) -> Result<()> {
    let app = build(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Users) -> Result<()> {
    match command {
        Users::Create {
            email,
            name,
            role,
            email_verified,
            metadata,
            dry_run,
            output,
        } => {
            let email = email
                .parse()
                .map_err(|e| Failure::Usage(format!("{email}: {e}")))?;
            let password = ask::password()?.to_string();
            let new = New {
                email,
                name,
                image: None,
                password: Some(password),
                role,
                email_verified,
                metadata,
            };
            if dry_run {
                manage_users::check_new(app, &new).await?;
                output::note("The user could be made. Nothing was written.");
                return Ok(());
            }
            show(
                app.now(),
                output,
                &manage_users::create(app, Permitted::as_operator(), new, &operator()).await?,
            );
        }
        Users::List {
            search,
            role,
            limit,
            offset,
            output,
        } => list(
            app.now(),
            output,
            &found(app, search, role, limit, offset).await?,
        ),
        Users::Show { user, output } => {
            show(app.now(), output, &manage_users::find(app, &user).await?);
        }
        Users::SetPassword { user, dry_run } => {
            let user = manage_users::find(app, &user).await?;
            let password = ask::password()?;
            if dry_run {
                change_password::check_new(app, &user, &password).await?;
                output::note("The password could be set. Nothing was written.");
                return Ok(());
            }
            change_password::set_password(
                app,
                Permitted::as_operator(),
                &user,
                &password,
                &operator(),
            )
            .await?;
            output::note(&format!(
                "{} has a new password and is signed out everywhere.",
                user.email
            ));
        }
        Users::SetRole {
            user,
            role,
            dry_run,
        } => {
            let user = manage_users::find(app, &user).await?;
            manage_users::check_roles(app, &role)?;
            if dry_run {
                output::note(&format!(
                    "{} would be {role} and is {}. Nothing was written.",
                    user.email, user.role
                ));
                return Ok(());
            }
            let user = administer_users::set_role(
                app,
                Permitted::as_operator(),
                user.id,
                role,
                &operator(),
            )
            .await?;
            output::note(&format!("{} is now {}.", user.email, user.role));
        }
        Users::Invite {
            email,
            name,
            role,
            redirect_to,
            dry_run,
        } => {
            let email = email
                .parse()
                .map_err(|e| Failure::Usage(format!("{email}: {e}")))?;
            if !is_trusted_redirect(&redirect_to, &app.config.server.trusted_origins) {
                return Err(Failure::Usage(format!(
                    "{redirect_to}: neither a path of ours nor of an origin in server.trusted_origins"
                )));
            }
            manage_users::check_roles(app, &role)?;
            let invitation = Invitation {
                email,
                name,
                role,
                redirect: redirect_to,
            };
            if dry_run {
                output::note(&format!(
                    "{} would be invited. Nothing was written.",
                    invitation.email
                ));
                return Ok(());
            }
            let user =
                invite_user::invite(app, Permitted::as_operator(), invitation, &operator()).await?;
            output::note(&format!(
                "{} is invited; a running service sends the mail.",
                user.email
            ));
        }
        Users::Update {
            user,
            name,
            email,
            email_verified,
            image,
            dry_run,
        } => {
            let user = manage_users::find(app, &user).await?;
            let email = email
                .map(|text| {
                    text.parse()
                        .map_err(|e| Failure::Usage(format!("{text}: {e}")))
                })
                .transpose()?;
            let changes = Changes {
                name,
                email,
                email_verified,
                image,
                ..Changes::default()
            };
            if changes.is_empty() {
                return Err(Failure::Usage(
                    "say what to change: --name, --email, --email-verified, --image".into(),
                ));
            }
            if dry_run {
                output::note(&format!(
                    "{} would be changed. Nothing was written.",
                    user.email
                ));
                return Ok(());
            }
            let user = administer_users::update(
                app,
                Permitted::as_operator(),
                user.id,
                changes,
                &operator(),
            )
            .await?;
            output::note(&format!("{} is changed.", user.email));
        }
        Users::SetMetadata {
            user,
            metadata,
            dry_run,
        } => {
            let user = manage_users::find(app, &user).await?;
            let text = Value::Object(metadata.clone());
            if dry_run {
                output::note(&format!(
                    "{} would have {text} and has {}. Nothing was written.",
                    user.email,
                    Value::Object(user.metadata.clone())
                ));
                return Ok(());
            }
            let changes = Changes {
                metadata: Some(metadata),
                ..Changes::default()
            };
            let user = administer_users::update(
                app,
                Permitted::as_operator(),
                user.id,
                changes,
                &operator(),
            )
            .await?;
            output::note(&format!("{} has {text} now.", user.email));
        }
        Users::Ban {
            user,
            reason,
            time,
            dry_run,
            yes,
        } => {
            let user = manage_users::find(app, &user).await?;
            let sessions = how_many(app, user.id).await?;
            if dry_run {
                output::note(&format!(
                    "{} would be banned and {sessions} would end.",
                    user.email
                ));
                return Ok(());
            }
            ask::confirm(&format!("Ban {} and end {sessions}?", user.email), yes)?;
            let user = administer_users::ban(
                app,
                Permitted::as_operator(),
                user.id,
                reason,
                time,
                &operator(),
            )
            .await?;
            let until = user
                .ban_expires_at
                .map_or_else(|| "for ever".to_owned(), |end| format!("until {end}"));
            output::note(&format!("{} is banned {until}.", user.email));
        }
        Users::Unban { user, dry_run } => {
            let user = manage_users::find(app, &user).await?;
            if dry_run {
                output::note(&format!("{} would be let in again.", user.email));
                return Ok(());
            }
            administer_users::unban(app, Permitted::as_operator(), user.id, &operator()).await?;
            output::note(&format!("{} is no longer banned.", user.email));
        }
        Users::Delete { user, dry_run, yes } => {
            let user = manage_users::find(app, &user).await?;
            if dry_run {
                output::note(&format!("{} would be deleted with everything.", user.email));
                return Ok(());
            }
            ask::confirm(
                &format!("Delete {} with every session and account?", user.email),
                yes,
            )?;
            administer_users::remove(app, Permitted::as_operator(), user.id, &operator()).await?;
            output::note(&format!("{} is deleted.", user.email));
        }
        Users::Disable { user, dry_run, yes } => {
            let user = manage_users::find(app, &user).await?;
            let sessions = how_many(app, user.id).await?;
            if dry_run {
                output::note(&format!(
                    "{} would be shut out and {sessions} would end.",
                    user.email
                ));
                return Ok(());
            }
            ask::confirm(&format!("Shut {} out and end {sessions}?", user.email), yes)?;
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
    let changed = manage_users::set_disabled(
        app,
        Permitted::as_operator(),
        user.id,
        disabled,
        &operator(),
    )
    .await?;
    let state = if disabled { "disabled" } else { "enabled" };
    output::note(&format!(
        "{} {} {state}.",
        user.email,
        if changed { "is now" } else { "was already" }
    ));
    Ok(())
}

/// A page of those whose address holds a text, and who have a role.
async fn found(
    app: &App,
    search: Option<String>,
    role: Option<String>,
    limit: u32,
    offset: u32,
) -> Result<Vec<User>> {
    let contains = |(column, text): (Column, Option<String>)| {
        text.map(|text| Condition {
            column,
            operator: Operator::Contains,
            values: vec![Operand::Text(text)],
        })
    };
    let conditions = [(Column::Email, search), (Column::Role, role)]
        .into_iter()
        .filter_map(contains)
        .collect();
    let page = Search {
        conditions,
        sort: Column::CreatedAt,
        descending: false,
        limit: limit.into(),
        offset: offset.into(),
    };
    Ok(
        administer_users::search(app, Permitted::as_operator(), page)
            .await?
            .0,
    )
}

fn list(now: Timestamp, format: Output, users: &[User]) {
    let rows: Vec<_> = users
        .iter()
        .map(|u| {
            vec![
                json!(u.id),
                json!(u.email),
                json!(u.name),
                json!(u.role),
                json!(state(now, u)),
                json!(u.created_at),
            ]
        })
        .collect();
    output::rows(
        format,
        &["id", "email", "name", "role", "state", "createdAt"],
        &rows,
    );
}

fn show(now: Timestamp, format: Output, u: &User) {
    output::object(
        format,
        &[
            ("id", json!(u.id)),
            ("email", json!(u.email)),
            ("emailVerified", json!(u.email_verified)),
            ("name", json!(u.name)),
            ("role", json!(u.role)),
            ("state", json!(state(now, u))),
            (
                "metadata",
                Value::String(Value::Object(u.metadata.clone()).to_string()),
            ),
            ("createdAt", json!(u.created_at)),
            ("updatedAt", json!(u.updated_at)),
        ],
    );
}

fn state(now: Timestamp, user: &User) -> &'static str {
    match (user.disabled_at, user.is_banned(now)) {
        (Some(_), _) => "disabled",
        (None, true) => "banned",
        (None, false) => "active",
    }
}

/// How many sessions the user has, in words; very many are not counted.
async fn how_many(app: &App, user: UserId) -> Result<String> {
    let sessions = i64::try_from(
        manage_sessions::list_of_user(app, Permitted::as_operator(), user, manage_sessions::FIRST)
            .await?
            .len(),
    )
    .unwrap_or(manage_sessions::PAGE);
    Ok(if sessions < manage_sessions::PAGE {
        format!("{sessions} session(s)")
    } else {
        format!("{sessions} or more sessions")
    })
}
