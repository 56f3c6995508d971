//! The spelling of argon2 that all software shares (PHC): `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.

use argon2::{Algorithm, Version};

use crate::crypto::argon2id::Cost;

use super::base64s::of_standard;
use super::params::{Params, number};
use super::recipe::{Argon2, Recipe, Scope};
use super::stored::ForeignHash;
use super::unusable::Unusable;

/// Returns the variant with this name, such as `id`.
pub(super) fn variant(name: &str) -> Result<Algorithm, Unusable> {
    match name {
        "id" => Ok(Algorithm::Argon2id),
        "i" => Ok(Algorithm::Argon2i),
        "d" => Ok(Algorithm::Argon2d),
        _ => Err(Unusable::Malformed),
    }
}

/// Returns the name of a variant.
pub(super) const fn variant_name(variant: Algorithm) -> &'static str {
    match variant {
        Algorithm::Argon2id => "id",
        Algorithm::Argon2i => "i",
        Algorithm::Argon2d => "d",
    }
}

/// Returns the version with this number.
pub(super) fn version(number: u32) -> Result<Version, Unusable> {
    Version::try_from(number).map_err(|_| Unusable::Malformed)
}

/// Reads a hash of argon2. A version that is not named is the first one, 16.
pub(super) fn read(text: &str, scope: Scope) -> Result<ForeignHash, Unusable> {
    let mut parts = text
        .strip_prefix("$argon2")
        .ok_or(Unusable::Unknown)?
        .split('$');
    let mut next = || parts.next().ok_or(Unusable::Malformed);
    let variant = variant(next()?)?;
    let mut part = next()?;
    let mut named = 16;
    if let Some(text) = part.strip_prefix("v=") {
        named = number(text)?;
        part = next()?;
    }
    let mut params = Params::new(part);
    let cost = Cost {
        memory: params.number("m")?,
        iterations: params.number("t")?,
        parallelism: params.number("p")?,
    };
    params.end()?;
    let (salt, hash) = (of_standard(next()?)?, of_standard(next()?)?);
    if next().is_ok() {
        return Err(Unusable::Malformed);
    }
    let recipe = Recipe::Argon2(Argon2 {
        variant,
        version: version(named)?,
        cost,
        scope,
    });
    ForeignHash::bare(recipe, salt, hash)
}
