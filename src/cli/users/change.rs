//! `users update`, `set-password`, `set-role` and `set-metadata`: change fields of an account.

use serde_json::{Map, Value};

use crate::app::App;
use crate::cli::{Failure, Result, ask, operator, output};
use crate::flows::account::administer_users::{self, Changes};
use crate::flows::account::{change_password, manage_users};
use crate::flows::permit::Permitted;

/// Runs the command `users update`.
pub(super) async fn update(app: &App, user: &str, changes: Changes, dry_run: bool) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    if changes.is_empty() {
        return Err(Failure::Usage(
            "give at least one of --name, --email, --email-verified, --image".into(),
        ));
    }
    if dry_run {
        output::note(&format!(
            "{} would be changed. Nothing was written.",
            user.email
        ));
        return Ok(());
    }
    let user =
        administer_users::update(app, Permitted::as_operator(), user.id, changes, &operator())
            .await?;
    output::changed(&app.config, &format!("{} is changed.", user.email));
    Ok(())
}

/// Runs `users set-password`, which asks for the password.
pub(super) async fn set_password(app: &App, user: &str, dry_run: bool) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let password = ask::password()?;
    if dry_run {
        change_password::check_new(app, Permitted::as_operator(), &user, &password).await?;
        output::note("The password could be set. Nothing was written.");
        return Ok(());
    }
    change_password::set_password(app, Permitted::as_operator(), &user, &password, &operator())
        .await?;
    output::changed(
        &app.config,
        &format!(
            "{} has a new password and was signed out on all devices.",
            user.email
        ),
    );
    Ok(())
}

/// Runs the command `users set-role`.
pub(super) async fn set_role(app: &App, user: &str, role: String, dry_run: bool) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    manage_users::check_roles(app, &role)?;
    if dry_run {
        output::note(&format!(
            "{} would be {role} and is {}. Nothing was written.",
            user.email, user.role
        ));
        return Ok(());
    }
    let user =
        administer_users::set_role(app, Permitted::as_operator(), user.id, role, &operator())
            .await?;
    output::changed(
        &app.config,
        &format!("{} is now {}.", user.email, user.role),
    );
    Ok(())
}

/// Runs the command `users set-metadata`.
pub(super) async fn set_metadata(
    app: &App,
    user: &str,
    metadata: Map<String, Value>,
    dry_run: bool,
) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
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
    let user =
        administer_users::update(app, Permitted::as_operator(), user.id, changes, &operator())
            .await?;
    output::changed(&app.config, &format!("{} has {text} now.", user.email));
    Ok(())
}
