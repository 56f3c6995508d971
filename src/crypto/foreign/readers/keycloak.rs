//! Keycloak: a credential of a realm's export, whose two members are objects or texts with JSON.

use serde_json::Value;

use super::super::base64s::of_standard;
use super::super::params::number;
use super::super::phc;
use super::super::recipe::{Argon2, Prf, Recipe, Scope};
use super::super::stored::ForeignHash;
use super::super::unusable::Unusable;
use crate::crypto::argon2id::Cost;

/// Returns a member that is an object, or a text with one.
fn object(credential: &Value, name: &str) -> Result<Value, Unusable> {
    match credential.get(name) {
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| Unusable::Malformed),
        Some(object @ Value::Object(_)) => Ok(object.clone()),
        _ => Err(Unusable::Malformed),
    }
}

fn text<'v>(object: &'v Value, name: &str) -> Result<&'v str, Unusable> {
    object
        .get(name)
        .and_then(Value::as_str)
        .ok_or(Unusable::Malformed)
}

/// Returns the first text of a parameter, which is a list.
fn parameter<'v>(data: &'v Value, name: &str) -> Result<&'v str, Unusable> {
    let values = data
        .get("additionalParameters")
        .and_then(|all| all.get(name));
    values
        .and_then(|list| list.get(0))
        .and_then(Value::as_str)
        .ok_or(Unusable::Malformed)
}

fn argon2(data: &Value, iterations: u32) -> Result<Recipe, Unusable> {
    Ok(Recipe::Argon2(Argon2 {
        variant: phc::variant(parameter(data, "type")?)?,
        version: match parameter(data, "version")? {
            "1.3" => argon2::Version::V0x13,
            "1.0" => argon2::Version::V0x10,
            _ => return Err(Unusable::Malformed),
        },
        cost: Cost {
            memory: number(parameter(data, "memory")?)?,
            iterations,
            parallelism: number(parameter(data, "parallelism")?)?,
        },
        scope: Scope::Foreign,
    }))
}

/// Reads `{"secretData": …, "credentialData": …}`.
pub(super) fn read(credential: &str) -> Result<ForeignHash, Unusable> {
    let credential: Value = serde_json::from_str(credential).map_err(|_| Unusable::Malformed)?;
    let (secret, data) = (
        object(&credential, "secretData")?,
        object(&credential, "credentialData")?,
    );
    let salt = of_standard(text(&secret, "salt")?)?;
    let hash = of_standard(text(&secret, "value")?)?;
    let rounds = data.get("hashIterations").and_then(Value::as_u64);
    let rounds =
        u32::try_from(rounds.ok_or(Unusable::Malformed)?).map_err(|_| Unusable::TooCostly)?;
    let prf = match text(&data, "algorithm")? {
        "pbkdf2" => Prf::Sha1,
        "pbkdf2-sha256" => Prf::Sha256,
        "pbkdf2-sha512" => Prf::Sha512,
        "argon2" => return ForeignHash::bare(argon2(&data, rounds)?, salt, hash),
        _ => return Err(Unusable::Unknown),
    };
    super::pbkdf2(prf, rounds, salt, hash)
}
