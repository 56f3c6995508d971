//! `users links` and `users unlink`: the identities of other issuers that are linked to a user.

use serde_json::{Value, json};

use crate::app::App;
use crate::cli::{Caution, Output, Result, operator, output};
use crate::flows::account::manage_users;
use crate::flows::federation::links::Link;
use crate::flows::federation::operate_links;
use crate::flows::permit::Permitted;

use super::print::{changed, planned};

/// Runs the command `users links`.
pub(super) async fn show(app: &App, user: &str, form: Output) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let links = operate_links::of_user(app, Permitted::as_operator(), user.id).await?;
    let members = [
        ("id", json!(user.id)),
        ("email", json!(user.email)),
        ("links", links.iter().map(shown).collect::<Value>()),
    ];
    output::object(form, &members);
    Ok(())
}

fn shown(link: &Link) -> Value {
    json!({
        "id": link.id,
        "provider": link.provider.as_str(),
        "issuer": link.issuer,
        "accountId": link.subject,
        "email": link.email,
        "createdAt": link.created_at,
        "lastUsedAt": link.last_used_at,
    })
}

/// Runs the command `users unlink`.
pub(super) async fn unlink(app: &App, user: &str, row: &str, caution: Caution) -> Result<()> {
    let user = manage_users::find(app, Permitted::as_operator(), user).await?;
    let links = operate_links::of_user(app, Permitted::as_operator(), user.id).await?;
    let form = caution.trial.output;
    let link = links.iter().find(|link| link.id.to_string() == row);
    let link = link.ok_or(crate::flows::Error::AccountNotFound)?;
    let provider = &link.provider;
    if caution.trial.dry_run {
        let what = format!("would lose the link to {provider} and the sessions that it opened");
        planned(app, form, &user, &what);
        return Ok(());
    }
    let question = format!(
        "Remove the link of {} to {provider} and end the sessions that it opened?",
        user.email
    );
    caution.confirm(app, &question)?;
    operate_links::unlink(app, Permitted::as_operator(), user.id, row, &operator()).await?;
    changed(app, form, &user, &format!("has no link {row} any more"));
    Ok(())
}
