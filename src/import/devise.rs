//! `devise`: CSV of the table of users of a Rails application with Devise.

use super::columns::{Parser, Record};
use super::{provider, values};
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::draft::{Draft, Factors};
use crate::model::import::reason::Reason;

/// What Devise's modules write and says nothing about a user here.
const IGNORED: &[&str] = &[
    "reset_password_token",
    "reset_password_sent_at",
    "remember_created_at",
    "remember_token",
    "sign_in_count",
    "current_sign_in_at",
    "last_sign_in_at",
    "current_sign_in_ip",
    "last_sign_in_ip",
    "confirmation_token",
    "confirmation_sent_at",
    "unconfirmed_email",
    "failed_attempts",
    "unlock_token",
    "updated_at",
];

/// Returns the parser of the format.
pub(super) fn parser() -> Parser {
    let known = [
        "name",
        "first_name",
        "last_name",
        "confirmed_at",
        "created_at",
        "locked_at",
        "role",
        "admin",
        "provider",
        "uid",
        "otp_required_for_login",
    ];
    Parser::of(
        &["id", "email", "encrypted_password"],
        &known,
        IGNORED,
        draft,
    )
}

fn draft(mut record: Record) -> Result<Draft, Reason> {
    let (first, last) = (record.text("first_name"), record.text("last_name"));
    let name = record.text("name");
    let mut roles = vec![record.text("role")];
    if record.truth("admin")? {
        roles.push("admin".to_owned());
    }
    roles.retain(|role| !role.is_empty());
    let (issuer, uid) = (record.text("provider"), record.text("uid"));
    let accounts = Some((provider(&issuer), uid)).filter(|_| !issuer.is_empty());
    let hash = record.text("encrypted_password");
    let two = record.truth("otp_required_for_login")?;
    Ok(Draft {
        id: record.text("id"),
        email: record.text("email"),
        email_verified: record.time("confirmed_at")?.is_some(),
        name: if name.is_empty() {
            values::full_name(&first, &last)
        } else {
            name
        },
        roles,
        disabled: record.time("locked_at")?.is_some(),
        created_at: record.time("created_at")?,
        hash: SourceHash::unless_empty(HashSpelling::Devise, hash),
        accounts: accounts.into_iter().collect(),
        factors: Factors::two_if(two),
        ..Draft::default()
    })
}
