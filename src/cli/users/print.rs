//! `users list` and `users show`: print accounts.

use serde_json::{Value, json};

use crate::app::App;
use crate::cli::output::{self, List, together};
use crate::cli::paging::Numbered;
use crate::cli::table::{Column, id, name, text, time};
use crate::cli::{Output, Result};
use crate::flows::account::administer_users::Column as SearchColumn;
use crate::flows::account::administer_users::{self, Condition, Operand, Operator, Search};
use crate::flows::account::{manage_users, require_password};
use crate::flows::permit::Permitted;
use crate::flows::session::manage_sessions;
use crate::model::account::user::User;
use crate::model::kernel::time::Timestamp;

const COLUMNS: [Column; 6] = [
    id("id"),
    text("email"),
    text("name"),
    name("role"),
    name("state"),
    time("createdAt"),
];

/// Lists users whose email address contains a text, and who have a role.
pub(super) async fn list(
    app: &App,
    search: Option<String>,
    role: Option<String>,
    paging: Numbered,
    form: Output,
) -> Result<()> {
    let contains = |(column, text): (SearchColumn, Option<String>)| {
        text.map(|text| Condition {
            column,
            operator: Operator::Contains,
            values: vec![Operand::Text(text)],
        })
    };
    let conditions = [(SearchColumn::Email, search), (SearchColumn::Role, role)]
        .into_iter()
        .filter_map(contains)
        .collect();
    let page = Search {
        conditions,
        sort: SearchColumn::CreatedAt,
        descending: false,
        limit: paging.limit(),
        offset: paging.offset(),
    };
    let (users, total) = administer_users::search(app, Permitted::as_operator(), page).await?;
    let (now, total) = (app.now(), u64::try_from(total).unwrap_or(0));
    let items = users.iter().map(|user| together(&members(now, user)));
    let list = List {
        noun: "users",
        columns: &COLUMNS,
        items: output::objects(items.collect()),
        total,
        next: paging.next(total),
    };
    output::list(form, &list);
    Ok(())
}

/// Prints one user, with the last sign-in, the number of live sessions and whether the password has to
/// be replaced.
pub(super) async fn show(app: &App, form: Output, user: &User) -> Result<()> {
    let last = manage_sessions::last_sign_in(app, Permitted::as_operator(), user.id).await?;
    let sessions = manage_sessions::count_of_user(app, Permitted::as_operator(), user.id).await?;
    let must_replace =
        require_password::is_required(app, Permitted::as_operator(), user.id).await?;
    let language = manage_users::language(app, Permitted::as_operator(), user.id).await?;
    let more = [
        ("language", json!(language)),
        ("lastSignIn", json!(last)),
        ("sessions", json!(sessions)),
        ("newPasswordRequired", json!(must_replace)),
    ];
    output::object(form, &[&*members(app.now(), user), &more].concat());
    Ok(())
}

/// Returns what commands print of a user.
pub(super) fn members(now: Timestamp, u: &User) -> Vec<(&'static str, Value)> {
    vec![
        ("id", json!(u.id)),
        ("email", json!(u.email)),
        ("emailVerified", json!(u.email_verified)),
        ("name", json!(u.name)),
        ("image", json!(u.image)),
        ("role", json!(u.role)),
        ("state", json!(state(now, u))),
        ("twoFactorEnabled", json!(u.two_factor)),
        ("banReason", json!(u.ban_reason)),
        ("banExpires", json!(u.ban_expires_at)),
        ("metadata", json!(u.metadata)),
        ("createdAt", json!(u.created_at)),
        ("updatedAt", json!(u.updated_at)),
    ]
}

/// Prints what was changed of a user, such as `is banned`.
pub(super) fn changed(app: &App, form: Output, user: &User, what: &str) {
    let text = format!("{} {what}.", user.email);
    output::changed(&app.config, form, &text, &members(app.now(), user));
}

/// Prints what `--dry-run` would change of a user, such as `would be banned`.
pub(super) fn planned(app: &App, form: Output, user: &User, what: &str) {
    let text = format!("{} {what}.", user.email);
    output::planned(&app.config, form, &text, &members(app.now(), user));
}

fn state(now: Timestamp, user: &User) -> &'static str {
    match (user.disabled_at, user.is_banned(now)) {
        (Some(_), _) => "disabled",
        (None, true) => "banned",
        (None, false) => "active",
    }
}
