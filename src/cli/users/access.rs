//! `users ban`, `unban`, `disable`, `enable` and `delete`: change whether an account may sign in.

use serde_json::json;

use crate::app::App;
use crate::cli::{Caution, Output, Result, Trial, operator, output};
use crate::flows::account::{administer_users, manage_users};
use crate::flows::permit::Permitted;
use crate::flows::session::manage_sessions;
use crate::model::account::profile::BanReason;
use crate::model::account::user::User;
use crate::model::kernel::id::UserId;
use crate::model::kernel::period::Period;

use super::print::{changed, planned};

/// Runs the command `users ban`.
pub(super) async fn ban(
    app: &App,
    user: &str,
    reason: Option<BanReason>,
    time: Option<Period>,
    caution: Caution,
) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let sessions = how_many(app, user.id).await?;
    let form = caution.trial.output;
    if caution.trial.dry_run {
        let what = format!("would be banned and {sessions} would end");
        planned(app, form, &user, &what);
        return Ok(());
    }
    caution.confirm(app, &format!("Ban {} and end {sessions}?", user.email))?;
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
        .map_or_else(|| "without end".to_owned(), |end| format!("until {end}"));
    changed(app, form, &user, &format!("is banned {until}"));
    Ok(())
}

/// Runs the command `users unban`.
pub(super) async fn unban(app: &App, user: &str, trial: Trial) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    if trial.dry_run {
        planned(app, trial.output, &user, "would no longer be banned");
        return Ok(());
    }
    let user = administer_users::unban(app, Permitted::as_operator(), user.id, &operator()).await?;
    changed(app, trial.output, &user, "is no longer banned");
    Ok(())
}

/// Runs the command `users disable`.
pub(super) async fn disable(app: &App, user: &str, caution: Caution) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let sessions = how_many(app, user.id).await?;
    if caution.trial.dry_run {
        let what = format!("would be disabled and {sessions} would end");
        planned(app, caution.trial.output, &user, &what);
        return Ok(());
    }
    caution.confirm(app, &format!("Disable {} and end {sessions}?", user.email))?;
    set_disabled(app, &user, true, caution.trial.output).await
}

/// Runs the command `users enable`.
pub(super) async fn enable(app: &App, user: &str, trial: Trial) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    if trial.dry_run {
        planned(app, trial.output, &user, "would be enabled");
        return Ok(());
    }
    set_disabled(app, &user, false, trial.output).await
}

/// Runs the command `users delete`.
pub(super) async fn delete(app: &App, user: &str, caution: Caution) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let form = caution.trial.output;
    if caution.trial.dry_run {
        let what = "would be deleted with every session and account";
        planned(app, form, &user, what);
        return Ok(());
    }
    let question = format!("Delete {} with every session and account?", user.email);
    caution.confirm(app, &question)?;
    administer_users::remove(app, Permitted::as_operator(), user.id, &operator()).await?;
    let members = [
        ("id", json!(user.id)),
        ("email", json!(user.email)),
        ("state", json!("deleted")),
    ];
    let text = format!("{} is deleted.", user.email);
    output::changed(&app.config, form, &text, &members);
    Ok(())
}

async fn set_disabled(app: &App, user: &User, disabled: bool, form: Output) -> Result<()> {
    let changed_now = manage_users::set_disabled(
        app,
        Permitted::as_operator(),
        user.id,
        disabled,
        &operator(),
    )
    .await?;
    let verb = if changed_now { "is now" } else { "was already" };
    let state = if disabled { "disabled" } else { "enabled" };
    let user = administer_users::get(app, Permitted::as_operator(), user.id).await?;
    changed(app, form, &user, &format!("{verb} {state}"));
    Ok(())
}

/// Returns the number of the user's live sessions, as text.
async fn how_many(app: &App, user: UserId) -> Result<String> {
    let sessions = manage_sessions::count_of_user(app, Permitted::as_operator(), user).await?;
    Ok(format!("{sessions} session(s)"))
}
