//! Werkzeug, of Flask: `method:parameters$salt$hash`, with salts that are texts.

use super::super::base64s::of_hex;
use super::super::forms::Form;
use super::super::params::number;
use super::super::recipe::{Prf, Recipe};
use super::super::stored::ForeignHash;
use super::super::unusable::Unusable;

/// Reads a hash of either method.
pub(super) fn read(text: &str) -> Result<ForeignHash, Unusable> {
    let [method, salt, hash] = super::parts(text, '$')?;
    let (salt, hash) = (salt.as_bytes().to_vec(), of_hex(hash)?);
    match method.split_once(':') {
        Some(("scrypt", params)) => {
            let [n, r, p] = super::parts(params, ':')?;
            let recipe = Recipe::Scrypt(super::scrypt_of_n(n, r, p)?, Form::Typed);
            ForeignHash::bare(recipe, salt, hash)
        }
        Some(("pbkdf2", params)) => {
            let [name, rounds] = super::parts(params, ':')?;
            let prf = Prf::ALL.into_iter().find(|prf| prf.name() == name);
            super::pbkdf2(prf.ok_or(Unusable::Unknown)?, number(rounds)?, salt, hash)
        }
        _ => Err(Unusable::Unknown),
    }
}
