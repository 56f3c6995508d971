//! `gotrue`: CSV of the query in `docs/moving.md` over the tables of GoTrue (Supabase Auth).

use serde_json::{Map, Value};

use super::columns::{Parser, Record};
use super::json::Object;
use super::provider;
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::draft::{Draft, DraftBan, Factors};
use crate::model::import::reason::Reason;

const IGNORED: &[&str] = &["role", "aud", "phone", "updated_at", "last_sign_in_at"];

/// Members of `raw_app_meta_data` that GoTrue itself writes, and which `identities` repeats.
const OF_GOTRUE: [&str; 2] = ["provider", "providers"];

/// Returns the parser of the format.
pub(super) fn parser() -> Parser {
    let known = [
        "encrypted_password",
        "email_confirmed_at",
        "banned_until",
        "deleted_at",
        "created_at",
        "raw_app_meta_data",
        "raw_user_meta_data",
        "identities",
        "factors",
    ];
    Parser::of(&["id", "email"], &known, IGNORED, draft)
}

fn draft(mut record: Record) -> Result<Draft, Reason> {
    if record.time("deleted_at")?.is_some() {
        return Err(Reason::DeletedThere);
    }
    let mut metadata = object(&record.text("raw_app_meta_data"), "raw_app_meta_data")?;
    metadata.retain(|name, _| !OF_GOTRUE.contains(&name.as_str()));
    // Users write it themselves, so only the name and the picture are taken from it.
    let mut own = Object::of(object(
        &record.text("raw_user_meta_data"),
        "raw_user_meta_data",
    )?);
    let first_of = |own: &mut Object, names: [&'static str; 2]| -> Result<String, Reason> {
        let [one, other] = names;
        let (one, other) = (own.text(one)?, own.text(other)?);
        Ok(if one.is_empty() { other } else { one })
    };
    let name = first_of(&mut own, ["full_name", "name"])?;
    let image = first_of(&mut own, ["avatar_url", "picture"])?;
    // What GoTrue copies from identities.
    own.ignore(&[
        "email",
        "email_verified",
        "phone_verified",
        "iss",
        "sub",
        "provider_id",
        "user_name",
        "preferred_username",
    ]);
    let banned_until = record.time("banned_until")?;
    let factors = record.text("factors");
    let hash = record.text("encrypted_password");
    Ok(Draft {
        id: record.text("id"),
        email: record.text("email"),
        email_verified: record.time("email_confirmed_at")?.is_some(),
        name,
        image,
        metadata,
        ban: banned_until.map(|ends_at| DraftBan {
            reason: String::new(),
            ends_at: Some(ends_at),
        }),
        created_at: record.time("created_at")?,
        hash: SourceHash::unless_empty(HashSpelling::Tagged, hash),
        accounts: identities(&record.text("identities"))?,
        factors: Factors::two_if(!matches!(factors.as_str(), "" | "0")),
        user_data: own.finish().is_err(),
        ..Draft::default()
    })
}

fn object(text: &str, column: &'static str) -> Result<Map<String, Value>, Reason> {
    match text {
        "" => Ok(Map::new()),
        text => serde_json::from_str(text).map_err(|_| Reason::InvalidField(column)),
    }
}

/// Reads `[{"provider": "google", "id": "10…"}]`; the provider `email` is the password.
fn identities(text: &str) -> Result<Vec<(String, String)>, Reason> {
    const COLUMN: &str = "identities";
    let items: Vec<Map<String, Value>> = match text {
        "" => return Ok(Vec::new()),
        text => serde_json::from_str(text).map_err(|_| Reason::InvalidField(COLUMN))?,
    };
    let mut accounts = Vec::new();
    for item in items {
        let mut item = Object::of(item);
        let (name, id) = (item.text("provider")?, item.text("id")?);
        if name != "email" && name != "phone" {
            accounts.push((provider(&name), id));
        }
    }
    Ok(accounts)
}
