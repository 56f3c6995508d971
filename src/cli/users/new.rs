//! `users create` and `users invite`: create accounts.

use crate::app::App;
use crate::cli::{Failure, Output, Result, ask, operator, output};
use crate::flows::account::invite_user::{self, Invitation};
use crate::flows::account::manage_users::{self, New};
use crate::flows::permit::Permitted;
use crate::model::kernel::origin::is_trusted_redirect;

use super::print::show;

/// Runs `users create`, which asks for the password.
pub(super) async fn create(app: &App, new: New, dry_run: bool, output: Output) -> Result<()> {
    let new = New {
        password: Some(ask::password()?.to_string()),
        ..new
    };
    if dry_run {
        manage_users::check_new(app, Permitted::as_operator(), &new).await?;
        output::note("The user could be created. Nothing was written.");
        return Ok(());
    }
    show(
        app.now(),
        output,
        &manage_users::create(app, Permitted::as_operator(), new, &operator()).await?,
    );
    output::changed(&app.config, "The user is created.");
    Ok(())
}

/// Runs the command `users invite`.
pub(super) async fn invite(app: &App, invitation: Invitation, dry_run: bool) -> Result<()> {
    if !is_trusted_redirect(&invitation.redirect, &app.config.server.trusted_origins) {
        return Err(Failure::Usage(format!(
            "{}: neither a path of this service nor a URL of an origin in server.trusted_origins",
            invitation.redirect
        )));
    }
    manage_users::check_roles(app, &invitation.role)?;
    if dry_run {
        output::note(&format!(
            "{} would be invited. Nothing was written.",
            invitation.email
        ));
        return Ok(());
    }
    let user = invite_user::invite(app, Permitted::as_operator(), invitation, &operator()).await?;
    output::changed(
        &app.config,
        &format!(
            "{} is invited; a running service sends the mail.",
            user.email
        ),
    );
    Ok(())
}
