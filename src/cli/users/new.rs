//! `users create` and `users invite`: create accounts.

use serde_json::json;

use crate::app::App;
use crate::cli::{Failure, Result, Trial, ask, operator, output};
use crate::flows::account::invite_user::{self, Invitation};
use crate::flows::account::manage_users::{self, New};
use crate::flows::permit::Permitted;
use crate::model::kernel::redirect::is_trusted_redirect;

use super::print::members;

/// Runs `users create`, which asks for the password.
pub(super) async fn create(app: &App, new: New, trial: Trial) -> Result<()> {
    let Trial { dry_run, output } = trial;
    let new = New {
        password: Some(ask::password()?.to_string()),
        ..new
    };
    if dry_run {
        manage_users::check_new(app, Permitted::as_operator(), &new).await?;
        let members = [("email", json!(new.email)), ("role", json!(new.role))];
        output::planned(&app.config, output, "The user could be created.", &members);
        return Ok(());
    }
    let user = manage_users::create(app, Permitted::as_operator(), new, &operator()).await?;
    output::record(output, &app.config, true, &members(app.now(), &user));
    output::done(&app.config, "The user is created.");
    Ok(())
}

/// Runs the command `users invite`.
pub(super) async fn invite(app: &App, invitation: Invitation, trial: Trial) -> Result<()> {
    let Trial { dry_run, output } = trial;
    let trusted = &app.config.server.trusted_origins;
    if let Some(url) = &invitation.redirect
        && !is_trusted_redirect(url, trusted)
    {
        return Err(Failure::Usage(format!(
            "--redirect-to {url}: write a path of this service, such as /welcome, or a URL of an origin in server.trusted_origins"
        )));
    }
    manage_users::check_roles(app, &invitation.role)?;
    let redirect = ("redirectTo", json!(invitation.redirect));
    if dry_run {
        let members = [
            ("email", json!(invitation.email)),
            ("role", json!(invitation.role)),
            redirect,
        ];
        let text = format!("{} would be invited.", invitation.email);
        output::planned(&app.config, output, &text, &members);
        return Ok(());
    }
    let user = invite_user::invite(app, Permitted::as_operator(), invitation, &operator()).await?;
    let text = format!(
        "{} is invited; a running service sends the mail.",
        user.email
    );
    let members = [members(app.now(), &user), vec![redirect]].concat();
    output::changed(&app.config, output, &text, &members);
    Ok(())
}
