//! `users require-new-password`: makes old passwords useless after a leak.

use serde_json::json;

use crate::app::App;
use crate::cli::{Caution, Result, operator, output};
use crate::flows::account::{manage_users, require_password};
use crate::flows::permit::Permitted;

use super::print::{changed, planned};

/// Requires a new password of one user.
pub(super) async fn require_of(app: &App, user: &str, caution: Caution) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let form = caution.trial.output;
    if caution.trial.dry_run {
        let what = "would need a new password, and every session would end";
        planned(app, form, &user, what);
        return Ok(());
    }
    let question = format!(
        "Require a new password of {} and end every session of the user?",
        user.email
    );
    caution.confirm(app, &question)?;
    let changed_now =
        require_password::require_of(app, Permitted::as_operator(), user.id, &operator()).await?;
    let what = if changed_now {
        "needs a new password; every session has ended"
    } else {
        "needed a new password already"
    };
    changed(app, form, &user, what);
    warn_without_mail(app);
    Ok(())
}

/// Requires a new password of every user.
pub(super) async fn require_of_all(app: &App, caution: Caution) -> Result<()> {
    let passwords = require_password::count(app, Permitted::as_operator()).await?;
    let form = caution.trial.output;
    let members = [
        ("users", json!(passwords.all)),
        ("requiredBefore", json!(passwords.required)),
    ];
    if caution.trial.dry_run {
        let text = format!(
            "{} user(s) would need a new password ({} need one already), and every session of all users would end.",
            passwords.all, passwords.required
        );
        output::planned(&app.config, form, &text, &members);
        return Ok(());
    }
    let question = format!(
        "Require a new password of all {} user(s) who have one, and end every session and every link that was sent in a mail?",
        passwords.all
    );
    caution.confirm(app, &question)?;
    require_password::require_of_all(app, Permitted::as_operator(), &operator()).await?;
    let text = format!(
        "{} user(s) need a new password; every session has ended.",
        passwords.all
    );
    output::changed(&app.config, form, &text, &members);
    warn_without_mail(app);
    Ok(())
}

/// Tells the operator what users cannot do where no mail is sent.
fn warn_without_mail(app: &App) {
    if !app.config.mail.sends() {
        output::note(
            "No mail is sent (mail.transport), so users cannot ask for a link: set passwords with `countersign users set-password`.",
        );
    }
}
