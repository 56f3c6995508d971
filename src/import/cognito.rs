//! `cognito`: CSV of a user pool, whose columns are those of the pool's import template. It never
//! has passwords.

use super::columns::{Parser, Record};
use super::values;
use crate::model::import::draft::{Draft, Factors};
use crate::model::import::reason::Reason;

const IGNORED: &[&str] = &[
    "address",
    "birthdate",
    "gender",
    "locale",
    "middle_name",
    "nickname",
    "phone_number",
    "phone_number_verified",
    "preferred_username",
    "profile",
    "updated_at",
    "website",
    "zoneinfo",
    "cognito:username",
];

/// Returns the parser of the format.
pub(super) fn parser() -> Parser {
    let known = [
        "email_verified",
        "name",
        "given_name",
        "family_name",
        "picture",
        "cognito:mfa_enabled",
        "enabled",
        "created_at",
    ];
    Parser::of(&["sub", "email"], &known, IGNORED, draft)
}

fn draft(mut record: Record) -> Result<Draft, Reason> {
    let (first, last) = (record.text("given_name"), record.text("family_name"));
    let name = record.text("name");
    let enabled = record.text("enabled");
    let two = record.truth("cognito:mfa_enabled")?;
    Ok(Draft {
        id: record.text("sub"),
        email: record.text("email"),
        email_verified: record.truth("email_verified")?,
        name: if name.is_empty() {
            values::full_name(&first, &last)
        } else {
            name
        },
        image: record.text("picture"),
        disabled: !enabled.is_empty() && !values::truth(&enabled, "enabled")?,
        created_at: record.time("created_at")?,
        factors: Factors::two_if(two),
        ..Draft::default()
    })
}
