//! `users …`: commands for users, who are named by email address or id.

mod access;
mod arguments;
mod change;
mod new;
mod print;

use crate::app::App;
use crate::config::Config;
use crate::flows::account::administer_users::Changes;
use crate::flows::account::invite_user::Invitation;
use crate::flows::account::manage_users::{self, New};
use crate::flows::permit::Permitted;
use crate::model::account::email::Email;

pub(super) use self::arguments::Users;

use self::access::Caution;
use self::print::{found, list, show};
use super::{Failure, Result, build};

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
            let new = New {
                email: address(&email)?,
                name,
                image: None,
                password: None,
                role,
                email_verified,
                metadata,
            };
            new::create(app, new, dry_run, output).await
        }
        Users::Invite {
            email,
            name,
            role,
            redirect_to,
            dry_run,
        } => {
            let invitation = Invitation {
                email: address(&email)?,
                name,
                role,
                redirect: redirect_to,
            };
            new::invite(app, invitation, dry_run).await
        }
        Users::List {
            search,
            role,
            limit,
            offset,
            output,
        } => {
            let users = found(app, search, role, limit, offset).await?;
            list(app.now(), output, &users);
            Ok(())
        }
        Users::Show { user, output } => {
            show(
                app.now(),
                output,
                &manage_users::find(app, Permitted::as_operator(), &user).await?,
            );
            Ok(())
        }
        Users::Update {
            user,
            name,
            email,
            email_verified,
            image,
            dry_run,
        } => {
            let changes = Changes {
                name,
                email: email.as_deref().map(address).transpose()?,
                email_verified,
                image,
                ..Changes::default()
            };
            change::update(app, &user, changes, dry_run).await
        }
        Users::SetPassword { user, dry_run } => change::set_password(app, &user, dry_run).await,
        Users::SetRole {
            user,
            role,
            dry_run,
        } => change::set_role(app, &user, role, dry_run).await,
        Users::SetMetadata {
            user,
            metadata,
            dry_run,
        } => change::set_metadata(app, &user, metadata, dry_run).await,
        Users::Ban {
            user,
            reason,
            time,
            dry_run,
            yes,
        } => access::ban(app, &user, reason, time, Caution { dry_run, yes }).await,
        Users::Unban { user, dry_run } => access::unban(app, &user, dry_run).await,
        Users::Delete { user, dry_run, yes } => {
            access::delete(app, &user, Caution { dry_run, yes }).await
        }
        Users::Disable { user, dry_run, yes } => {
            access::disable(app, &user, Caution { dry_run, yes }).await
        }
        Users::Enable { user, dry_run } => access::enable(app, &user, dry_run).await,
    }
}

fn address(text: &str) -> Result<Email> {
    text.parse()
        .map_err(|e| Failure::Usage(format!("{text}: {e}")))
}
