//! `clerk`: the CSV that Clerk's dashboard exports.

use super::columns::{Parser, Record};
use super::values;
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::draft::{Draft, Factors};
use crate::model::import::reason::Reason;

const IGNORED: &[&str] = &[
    "primary_phone_number",
    "verified_phone_numbers",
    "unverified_phone_numbers",
    "unverified_email_addresses",
];

/// Returns the parser of the format.
pub(super) fn parser() -> Parser {
    let known = [
        "first_name",
        "last_name",
        "username",
        "verified_email_addresses",
        "totp_secret",
        "password_digest",
        "password_hasher",
    ];
    Parser::of(&["id", "primary_email_address"], &known, IGNORED, draft)
}

fn draft(mut record: Record) -> Result<Draft, Reason> {
    let (first, last) = (record.text("first_name"), record.text("last_name"));
    let (name, username) = (values::full_name(&first, &last), record.text("username"));
    let email = record.text("primary_email_address");
    let verified = record.text("verified_email_addresses");
    // The addresses stand between spaces, commas or bars, by the version of the export.
    let mut verified = verified.split(|c: char| c.is_whitespace() || ",|".contains(c));
    let two = !record.text("totp_secret").is_empty();
    let (digest, hasher) = (
        record.text("password_digest"),
        record.text("password_hasher"),
    );
    Ok(Draft {
        id: record.text("id"),
        email_verified: verified.any(|one| one.eq_ignore_ascii_case(&email)),
        email,
        name: if name.is_empty() { username } else { name },
        hash: hash(digest, &hasher)?,
        factors: Factors::two_if(two),
        ..Draft::default()
    })
}

/// Reads a digest whose kind Clerk names beside it.
fn hash(digest: String, hasher: &str) -> Result<Option<SourceHash>, Reason> {
    let spelling = match hasher {
        "bcrypt" | "argon2i" | "argon2id" => HashSpelling::Tagged,
        "pbkdf2_sha256_django" | "pbkdf2_sha256" | "bcrypt_sha256_django" => HashSpelling::Django,
        "scrypt_werkzeug" => HashSpelling::Werkzeug,
        _ if digest.is_empty() => return Ok(None),
        other => return Err(Reason::UnsupportedHash(other.to_owned())),
    };
    Ok(SourceHash::unless_empty(spelling, digest))
}
