//! `auth0`: the export of password hashes that Auth0's support makes, and the exports of users of its
//! Management API; both have one JSON object a line.

use serde_json::Value;

use super::json::Object;
use super::{members, provider};
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::draft::{Draft, DraftBan, Factors};
use crate::model::import::reason::Reason;

const IGNORED: &[&str] = &[
    "_tmp_is_unique",
    "tenant",
    "connection",
    "password_set_date",
    "updated_at",
    "last_login",
    "last_ip",
    "logins_count",
    "last_password_reset",
    "given_name",
    "family_name",
    "nickname",
    "username",
    "locale",
    "identifiers",
    "version",
];

/// The provider of Auth0's own databases of passwords.
const DATABASE: &str = "auth0";

/// Makes a draft of a row.
pub(super) fn draft(mut row: Object) -> Result<Option<Draft>, Reason> {
    let id = id(&mut row)?;
    let nickname = row.text("nickname")?;
    let name = row.text("name")?;
    let metadata = row.object("app_metadata")?;
    let own = row.object("user_metadata")?;
    let roles = metadata.get("roles").and_then(Value::as_array);
    let roles = roles.into_iter().flatten().filter_map(Value::as_str);
    let roles = roles.map(str::to_owned).collect();
    let mut accounts = Vec::new();
    for mut identity in row.objects("identities")? {
        let (name, subject) = (identity.text("provider")?, identity.text("user_id")?);
        if name != DATABASE {
            accounts.push((provider(&name), subject));
        }
    }
    let two = [row.list("multifactor")?, row.list("mfa_factors")?];
    let blocked = row.truth("blocked")?.unwrap_or(false);
    let hash = row.text("passwordHash")?;
    row.ignore(IGNORED);
    let draft = Draft {
        id,
        email: row.text("email")?,
        email_verified: row.truth("email_verified")?.unwrap_or(false),
        name: if name.is_empty() { nickname } else { name },
        image: row.text("picture")?,
        roles,
        metadata,
        ban: blocked.then(DraftBan::default),
        created_at: row.time("created_at")?,
        hash: SourceHash::unless_empty(HashSpelling::Tagged, hash),
        accounts,
        factors: Factors::two_if(two.iter().any(|factors| !factors.is_empty())),
        user_data: !own.is_empty(),
        ..Draft::default()
    };
    row.finish()?;
    Ok(Some(draft))
}

/// Returns the id as tokens of Auth0 have it: `auth0|…`.
fn id(row: &mut Object) -> Result<String, Reason> {
    let whole = row.text("user_id")?;
    if !whole.is_empty() {
        row.ignore(&["_id"]);
        return Ok(whole);
    }
    let bare = match row.take("_id") {
        Some(Value::String(text)) => text,
        value => Object::of(members(value)).text("$oid")?,
    };
    Ok(match bare.as_str() {
        "" => String::new(),
        bare => format!("{DATABASE}|{bare}"),
    })
}
