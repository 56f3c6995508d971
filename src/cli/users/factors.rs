//! `users factors` and `users reset-factors`: the second factors and passkeys of a user.

use serde_json::{Value, json};

use crate::app::App;
use crate::cli::{Caution, Output, Result, operator, output};
use crate::flows::account::reset_factors::Scope;
use crate::flows::account::{manage_users, reset_factors};
use crate::flows::permit::Permitted;
use crate::model::login::passkey::Passkey;

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
        (
            "passkeys",
            found.passkeys.iter().map(shown).collect::<Value>(),
        ),
    ];
    output::object(form, &members);
    Ok(())
}

/// Shows a passkey without its key.
fn shown(passkey: &Passkey) -> Value {
    json!({
        "id": passkey.id,
        "name": passkey.name,
        "verifiesUser": passkey.verifies,
        "createdAt": passkey.created_at,
        "lastUsedAt": passkey.last_used_at,
    })
}

/// Runs the command `users reset-factors`.
pub(super) async fn reset(app: &App, user: &str, scope: Scope, caution: Caution) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let found = reset_factors::overview(app, Permitted::as_operator(), user.id).await?;
    let form = caution.trial.output;
    let has_codes = found.two_factor || found.totp_since.is_some();
    let has_factor = scope.totp && has_codes || scope.passkeys && !found.passkeys.is_empty();
    let (all, nothing) = match (scope.totp, scope.passkeys) {
        (true, false) => ("every second factor", "no second factor"),
        (false, true) => ("every passkey", "no passkey"),
        _ => (
            "every second factor and passkey",
            "no second factor or passkey",
        ),
    };
    if caution.trial.dry_run {
        let what = if has_factor {
            format!("would lose {all} and every session")
        } else {
            format!("has {nothing}")
        };
        planned(app, form, &user, &what);
        return Ok(());
    }
    if !has_factor {
        changed(app, form, &user, &format!("has {nothing}"));
        return Ok(());
    }
    let question = format!(
        "Remove {all} of {} and end every session? Do this only for a user whom you recognise: a password alone opens a session afterwards",
        user.email
    );
    caution.confirm(app, &question)?;
    reset_factors::reset(app, Permitted::as_operator(), user.id, scope, &operator()).await?;
    let user = manage_users::find(app, Permitted::as_operator(), user.email.as_str()).await?;
    changed(app, form, &user, &format!("has {nothing} any more"));
    Ok(())
}
