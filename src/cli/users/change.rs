//! `users update`, `set-password`, `set-role` and `set-metadata`: change fields of an account.

use serde_json::{Map, Value};

use crate::app::App;
use crate::cli::{Failure, Result, Trial, ask, operator};
use crate::flows::account::administer_users::{self, Changes};
use crate::flows::account::{change_password, manage_users};
use crate::flows::permit::Permitted;

use super::print::{changed, planned};

/// Runs the command `users update`.
pub(super) async fn update(app: &App, user: &str, changes: Changes, trial: Trial) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    if changes.is_empty() {
        return Err(Failure::Usage(
            "give at least one of --name, --email, --email-verified, --image".into(),
        ));
    }
    if trial.dry_run {
        planned(app, trial.output, &user, "would be changed");
        return Ok(());
    }
    let user =
        administer_users::update(app, Permitted::as_operator(), user.id, changes, &operator())
            .await?;
    changed(app, trial.output, &user, "is changed");
    Ok(())
}

/// Runs `users set-password`, which asks for the password.
pub(super) async fn set_password(app: &App, user: &str, trial: Trial) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let password = ask::password()?;
    if trial.dry_run {
        change_password::check_new(app, Permitted::as_operator(), &user, &password).await?;
        planned(app, trial.output, &user, "could have this password");
        return Ok(());
    }
    change_password::set_password(app, Permitted::as_operator(), &user, &password, &operator())
        .await?;
    let what = "has a new password and was signed out on all devices";
    changed(app, trial.output, &user, what);
    Ok(())
}

/// Runs the command `users set-role`.
pub(super) async fn set_role(app: &App, user: &str, role: String, trial: Trial) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    manage_users::check_roles(app, &role)?;
    if trial.dry_run {
        let what = format!("would be {role} and is {}", user.role);
        planned(app, trial.output, &user, &what);
        return Ok(());
    }
    let user =
        administer_users::set_role(app, Permitted::as_operator(), user.id, role, &operator())
            .await?;
    let what = format!("is now {}", user.role);
    changed(app, trial.output, &user, &what);
    Ok(())
}

/// Runs the command `users set-metadata`.
pub(super) async fn set_metadata(
    app: &App,
    user: &str,
    metadata: Map<String, Value>,
    trial: Trial,
) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let text = Value::Object(metadata.clone());
    if trial.dry_run {
        let present = Value::Object(user.metadata.clone());
        let what = format!("would have {text} and has {present}");
        planned(app, trial.output, &user, &what);
        return Ok(());
    }
    let changes = Changes {
        metadata: Some(metadata),
        ..Changes::default()
    };
    let user =
        administer_users::update(app, Permitted::as_operator(), user.id, changes, &operator())
            .await?;
    changed(app, trial.output, &user, &format!("has {text} now"));
    Ok(())
}
