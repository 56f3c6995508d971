//! `django`: the JSON of `manage.py dumpdata`, of which only users are rows.

use serde_json::Value;

use super::json::Object;
use super::values;
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::draft::{Draft, Factors};
use crate::model::import::reason::Reason;

/// What a password begins with that cannot be used.
const UNUSABLE: char = '!';

/// Makes a draft of an element; `None` for one of another model than that of users.
pub(super) fn draft(mut row: Object) -> Result<Option<Draft>, Reason> {
    let model = row.text("model")?.to_ascii_lowercase();
    let (_, name) = model.rsplit_once('.').unwrap_or_default();
    if !["user", "customuser"].contains(&name) {
        return Ok(None);
    }
    let id = row.text("pk")?;
    let mut fields = row.inner("fields")?;
    row.finish()?;
    let (first, last) = (fields.text("first_name")?, fields.text("last_name")?);
    let (name, username) = (values::full_name(&first, &last), fields.text("username")?);
    let mut roles = groups(fields.list("groups")?)?;
    for (field, role) in [("is_superuser", "superuser"), ("is_staff", "staff")] {
        if fields.truth(field)?.unwrap_or(false) {
            roles.push(role.to_owned());
        }
    }
    let password = fields.text("password")?;
    fields.ignore(&["last_login", "user_permissions"]);
    let draft = Draft {
        id,
        email: fields.text("email")?,
        name: if name.is_empty() { username } else { name },
        roles,
        disabled: !fields.truth("is_active")?.unwrap_or(true),
        created_at: fields.time("date_joined")?,
        hash: SourceHash::unless_empty(HashSpelling::Django, password)
            .filter(|hash| !hash.text.starts_with(UNUSABLE)),
        factors: Factors::One,
        ..Draft::default()
    };
    fields.finish()?;
    Ok(Some(draft))
}

/// Reads groups: `3` or, with natural keys, `["editors"]`.
fn groups(groups: Vec<Value>) -> Result<Vec<String>, Reason> {
    const FIELD: Reason = Reason::InvalidField("groups");
    let name = |group| match group {
        Value::Number(number) => Ok(format!("group:{number}")),
        Value::Array(keys) => match keys.as_slice() {
            [Value::String(name)] => Ok(name.clone()),
            _ => Err(FIELD),
        },
        _ => Err(FIELD),
    };
    groups.into_iter().map(name).collect()
}
