//! `firebase`: the JSON of `firebase auth:export`.

use serde_json::{Map, Value, json};

use super::json::Object;
use super::provider;
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::draft::{Draft, Factors};
use crate::model::import::reason::Reason;

/// The providers that are a way of Firebase's own to sign in.
const OWN: [&str; 2] = ["password", "phone"];

/// Makes a draft of a user.
pub(super) fn draft(mut row: Object) -> Result<Option<Draft>, Reason> {
    let mut accounts = Vec::new();
    for mut account in row.objects("providerUserInfo")? {
        let (name, subject) = (account.text("providerId")?, account.text("rawId")?);
        if !OWN.contains(&name.as_str()) {
            accounts.push((provider(&name), subject));
        }
    }
    let claims = row.text("customAttributes")?;
    let metadata: Map<String, Value> = match claims.as_str() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|_| Reason::InvalidField("customAttributes"))?,
    };
    let two = !row.list("mfaInfo")?.is_empty();
    let (hash, salt) = (row.text("passwordHash")?, row.text("salt")?);
    let hash = match hash.as_str() {
        "" => None,
        hash => SourceHash::unless_empty(
            HashSpelling::Firebase,
            json!({ "hash": hash, "salt": salt }).to_string(),
        ),
    };
    row.ignore(&[
        "lastSignedInAt",
        "phoneNumber",
        "passwordUpdatedAt",
        "validSince",
    ]);
    let draft = Draft {
        id: row.text("localId")?,
        email: row.text("email")?,
        email_verified: row.truth("emailVerified")?.unwrap_or(false),
        name: row.text("displayName")?,
        image: row.text("photoUrl")?,
        metadata,
        disabled: row.truth("disabled")?.unwrap_or(false),
        created_at: row.time("createdAt")?,
        hash,
        accounts,
        factors: Factors::two_if(two),
        ..Draft::default()
    };
    row.finish()?;
    Ok(Some(draft))
}
