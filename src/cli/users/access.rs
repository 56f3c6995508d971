//! `users ban`, `unban`, `disable`, `enable` and `delete`: change whether an account may sign in.

use std::time::Duration;

use crate::app::App;
use crate::cli::{Result, ask, operator, output};
use crate::flows::account::{administer_users, manage_users};
use crate::flows::permit::Permitted;
use crate::flows::session::manage_sessions;
use crate::model::account::user::User;
use crate::model::kernel::id::UserId;

/// Whether a command asks for confirmation, and whether it only shows what it would do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caution {
    pub(super) dry_run: bool,
    pub(super) yes: bool,
}

/// Runs the command `users ban`.
pub(super) async fn ban(
    app: &App,
    user: &str,
    reason: Option<String>,
    time: Option<Duration>,
    caution: Caution,
) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let sessions = how_many(app, user.id).await?;
    if caution.dry_run {
        output::note(&format!(
            "{} would be banned and {sessions} would end.",
            user.email
        ));
        return Ok(());
    }
    ask::confirm(
        &app.config,
        &format!("Ban {} and end {sessions}?", user.email),
        caution.yes,
    )?;
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
    output::changed(&app.config, &format!("{} is banned {until}.", user.email));
    Ok(())
}

/// Runs the command `users unban`.
pub(super) async fn unban(app: &App, user: &str, dry_run: bool) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    if dry_run {
        output::note(&format!("The ban of {} would be lifted.", user.email));
        return Ok(());
    }
    administer_users::unban(app, Permitted::as_operator(), user.id, &operator()).await?;
    output::changed(&app.config, &format!("{} is no longer banned.", user.email));
    Ok(())
}

/// Runs the command `users disable`.
pub(super) async fn disable(app: &App, user: &str, caution: Caution) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let sessions = how_many(app, user.id).await?;
    if caution.dry_run {
        output::note(&format!(
            "{} would be disabled and {sessions} would end.",
            user.email
        ));
        return Ok(());
    }
    ask::confirm(
        &app.config,
        &format!("Disable {} and end {sessions}?", user.email),
        caution.yes,
    )?;
    set_disabled(app, &user, true).await
}

/// Runs the command `users enable`.
pub(super) async fn enable(app: &App, user: &str, dry_run: bool) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    if dry_run {
        output::note(&format!("{} would be enabled.", user.email));
        return Ok(());
    }
    set_disabled(app, &user, false).await
}

/// Runs the command `users delete`.
pub(super) async fn delete(app: &App, user: &str, caution: Caution) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    if caution.dry_run {
        output::note(&format!(
            "{} would be deleted with every session and account.",
            user.email
        ));
        return Ok(());
    }
    ask::confirm(
        &app.config,
        &format!("Delete {} with every session and account?", user.email),
        caution.yes,
    )?;
    administer_users::remove(app, Permitted::as_operator(), user.id, &operator()).await?;
    output::changed(&app.config, &format!("{} is deleted.", user.email));
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
    output::changed(
        &app.config,
        &format!(
            "{} {} {state}.",
            user.email,
            if changed { "is now" } else { "was already" }
        ),
    );
    Ok(())
}

/// Returns the number of the user's sessions, as text; very many are not counted exactly.
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
