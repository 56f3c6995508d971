//! `csv`: any columns; `--map` says which one holds which field.

use std::collections::BTreeMap;

use super::columns::{Parser, Record};
use super::{ReadOptions, Unreadable, values};
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::draft::{Draft, DraftBan};
use crate::model::import::reason::Reason;

/// The fields that `--map` names.
const FIELDS: [&str; 11] = [
    "id",
    "foreign_id",
    "email",
    "email_verified",
    "name",
    "image",
    "role",
    "banned",
    "disabled",
    "created_at",
    "password_hash",
];

/// Returns the parser for these columns. Without `--map` the columns are named like the fields.
///
/// # Errors
/// [`Unreadable::NotOfTheFormat`] if `--map` names an unknown field, or no email address.
pub(super) fn parser(options: &ReadOptions) -> Result<Parser, Unreadable> {
    let map = &options.map;
    let refused = |text: String| Err(Unreadable::NotOfTheFormat(text));
    if let Some(field) = map.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return refused(format!(
            "--map {field}=…: there is no such field; there are {}",
            FIELDS.join(", ")
        ));
    }
    if map.is_empty() {
        let known: Vec<&str> = FIELDS.into_iter().filter(|name| *name != "email").collect();
        let same = FIELDS.map(|name| (name.to_owned(), name.to_owned()));
        let map = BTreeMap::from(same);
        return Ok(Parser::of(&["email"], &known, &[], move |record| {
            draft(&map, record)
        }));
    }
    if !map.contains_key("email") {
        return refused("--map has to name the column of the email address: email=COLUMN".into());
    }
    let columns: Vec<&str> = map.values().map(String::as_str).collect();
    let map = map.clone();
    Ok(Parser::of(&columns, &[], &[], move |record| {
        draft(&map, record)
    }))
}

fn draft(map: &BTreeMap<String, String>, mut record: Record) -> Result<Draft, Reason> {
    let mut field = |name: &str| {
        map.get(name)
            .map(|column| record.text(column))
            .unwrap_or_default()
    };
    let roles = field("role");
    let roles = roles.split(',').map(str::trim);
    let hash = field("password_hash");
    Ok(Draft {
        id: field("id"),
        foreign_id: field("foreign_id"),
        email: field("email"),
        email_verified: values::truth(&field("email_verified"), "email_verified")?,
        name: field("name"),
        image: field("image"),
        roles: roles
            .filter(|role| !role.is_empty())
            .map(str::to_owned)
            .collect(),
        ban: values::truth(&field("banned"), "banned")?.then(DraftBan::default),
        disabled: values::truth(&field("disabled"), "disabled")?,
        created_at: values::time(&field("created_at"), "created_at")?,
        hash: SourceHash::unless_empty(HashSpelling::Tagged, hash),
        ..Draft::default()
    })
}
