//! `users factors` and `users reset-factors`: the second factors of a user.

use serde_json::json;

use crate::app::App;
use crate::cli::{Caution, Output, Result, operator, output};
use crate::flows::account::{manage_users, reset_factors};
use crate::flows::permit::Permitted;

use super::print::{changed, planned};

/// Runs the command `users factors`.
pub(super) async fn show(app: &App, user: &str, form: Output) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let found = reset_factors::overview(app, Permitted::as_operator(), user.id).await?;
    let members = [
        ("id", json!(user.id)),
        ("email", json!(user.email)),
        ("twoFactorEnabled", json!(found.two_factor)),
        ("totpSince", json!(found.totp_since)),
        ("recoveryCodes", json!(found.recovery_codes)),
        ("wrongCodes", json!(found.wrong_codes)),
    ];
    output::object(form, &members);
    Ok(())
}

/// Runs the command `users reset-factors`.
pub(super) async fn reset(app: &App, user: &str, caution: Caution) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let found = reset_factors::overview(app, Permitted::as_operator(), user.id).await?;
    let form = caution.trial.output;
    let has_factor = found.two_factor || found.totp_since.is_some();
    if caution.trial.dry_run {
        let what = if has_factor {
            "would lose every second factor and every session"
        } else {
            "has no second factor"
        };
        planned(app, form, &user, what);
        return Ok(());
    }
    if !has_factor {
        changed(app, form, &user, "has no second factor");
        return Ok(());
    }
    let question = format!(
        "Remove every second factor of {} and end every session? Do this only for a user whom you recognise: a password alone opens a session afterwards",
        user.email
    );
    caution.confirm(app, &question)?;
    reset_factors::reset(app, Permitted::as_operator(), user.id, &operator()).await?;
    let user = manage_users::find(app, Permitted::as_operator(), user.email.as_str()).await?;
    changed(app, form, &user, "has no second factor any more");
    Ok(())
}
