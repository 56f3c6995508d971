//! `users …`: commands for users, who are named by email address or id.

mod access;
mod arguments;
mod change;
mod factors;
mod import;
mod links;
mod new;
mod print;
mod required;

use crate::app::App;
use crate::config::Config;
use crate::flows::account::administer_users::Changes;
use crate::flows::account::invite_user::Invitation;
use crate::flows::account::manage_users::{self, New};
use crate::flows::account::reset_factors::Scope;
use crate::flows::permit::Permitted;

pub(super) use self::arguments::Users;

use self::print::{list, show};
use super::{Result, build};

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
            trial,
        } => {
            let new = New {
                email,
                name,
                image: None,
                password: None,
                role,
                email_verified,
                metadata,
            };
            new::create(app, new, trial).await
        }
        Users::Invite {
            email,
            name,
            role,
            redirect_to,
            trial,
        } => {
            let invitation = Invitation {
                email,
                name,
                role,
                redirect: redirect_to,
            };
            new::invite(app, invitation, trial).await
        }
        Users::List {
            search,
            role,
            paging,
            output,
        } => list(app, search, role, paging, output).await,
        Users::Show { user, output } => {
            let user = manage_users::find(app, Permitted::as_operator(), &user).await?;
            show(app, output, &user).await
        }
        Users::Update {
            user,
            name,
            email,
            email_verified,
            image,
            trial,
        } => {
            let changes = Changes {
                name,
                email,
                email_verified,
                image,
                ..Changes::default()
            };
            change::update(app, &user, changes, trial).await
        }
        Users::SetPassword { user, trial } => change::set_password(app, &user, trial).await,
        Users::RequireNewPassword {
            user,
            all: _,
            caution,
        } => match user {
            Some(user) => required::require_of(app, &user, caution).await,
            None => required::require_of_all(app, caution).await,
        },
        Users::SetRole { user, role, trial } => change::set_role(app, &user, role, trial).await,
        Users::SetMetadata {
            user,
            metadata,
            trial,
        } => change::set_metadata(app, &user, metadata, trial).await,
        Users::Ban {
            user,
            reason,
            time,
            caution,
        } => access::ban(app, &user, reason, time, caution).await,
        Users::Unban { user, trial } => access::unban(app, &user, trial).await,
        Users::Delete { user, caution } => access::delete(app, &user, caution).await,
        Users::Disable { user, caution } => access::disable(app, &user, caution).await,
        Users::Factors { user, output } => factors::show(app, &user, output).await,
        Users::ResetFactors {
            user,
            totp,
            passkeys,
            caution,
        } => {
            let scope = Scope { totp, passkeys }.or_all();
            factors::reset(app, &user, scope, caution).await
        }
        Users::Links { user, output } => links::show(app, &user, output).await,
        Users::Unlink {
            user,
            account,
            caution,
        } => links::unlink(app, &user, &account, caution).await,
        Users::Import(arguments) => Box::pin(import::import(app, *arguments)).await,
        Users::Imports { batch, output } => import::show(app, batch.as_deref(), output).await,
        Users::Rollback { batch, caution } => import::roll_back(app, &batch, caution).await,
        Users::Enable { user, trial } => access::enable(app, &user, trial).await,
    }
}
