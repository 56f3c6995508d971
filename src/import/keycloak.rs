//! `keycloak`: the JSON of an exported realm.

use serde_json::{Value, json};

use super::json::Object;
use super::{provider, values};
use crate::model::import::candidate::{HashSpelling, SourceHash};
use crate::model::import::draft::{Draft, Factors};
use crate::model::import::reason::Reason;

/// Roles that every user of a realm has.
fn is_default(role: &str) -> bool {
    role.starts_with("default-roles-") || ["offline_access", "uma_authorization"].contains(&role)
}

/// Makes a draft of a user; `None` for the account of a service.
pub(super) fn draft(mut row: Object) -> Result<Option<Draft>, Reason> {
    if row.take("serviceAccountClientId").is_some() {
        return Ok(None);
    }
    let (first, last) = (row.text("firstName")?, row.text("lastName")?);
    let (name, username) = (values::full_name(&first, &last), row.text("username")?);
    let mut accounts = Vec::new();
    for mut account in row.objects("federatedIdentities")? {
        let issuer = account.text("identityProvider")?;
        accounts.push((provider(&issuer), account.text("userId")?));
    }
    let mut roles = row.texts("realmRoles")?;
    roles.retain(|role| !is_default(role));
    roles.extend(row.texts("groups")?);
    let (hash, factors) = credentials(row.objects("credentials")?)?;
    let attributes = row.object("attributes")?;
    row.ignore(&[
        "requiredActions",
        "disableableCredentialTypes",
        "notBefore",
        "clientRoles",
        "totp",
        "access",
        "clientConsents",
        "origin",
        "self",
    ]);
    let draft = Draft {
        id: row.text("id")?,
        email: row.text("email")?,
        email_verified: row.truth("emailVerified")?.unwrap_or(false),
        name: if name.is_empty() { username } else { name },
        roles,
        disabled: !row.truth("enabled")?.unwrap_or(true),
        created_at: row.time("createdTimestamp")?,
        hash,
        accounts,
        factors,
        // In many realms users edit their attributes, so no claim may come from them.
        user_data: !attributes.is_empty(),
        ..Draft::default()
    };
    row.finish()?;
    Ok(Some(draft))
}

/// Reads the password; anything beside it is a second factor.
fn credentials(list: Vec<Object>) -> Result<(Option<SourceHash>, Factors), Reason> {
    let (mut hash, mut factors) = (None, Factors::One);
    for mut credential in list {
        if credential.text("type")? != "password" {
            factors = Factors::Two;
            continue;
        }
        let mut part = |name: &'static str| -> Result<Value, Reason> {
            serde_json::from_str(&credential.text(name)?).map_err(|_| Reason::InvalidField(name))
        };
        let text = json!({
            "secretData": part("secretData")?,
            "credentialData": part("credentialData")?,
        });
        hash = SourceHash::unless_empty(HashSpelling::Keycloak, text.to_string());
    }
    Ok((hash, factors))
}
