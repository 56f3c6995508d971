//! Django: `algorithm$…`, with salts that are texts.

use super::super::base64s::{of_hex, of_standard};
use super::super::bcrypt;
use super::super::forms::Form;
use super::super::params::number;
use super::super::phc;
use super::super::recipe::{Before, Digest, Order, Prf, Recipe, Scope};
use super::super::stored::ForeignHash;
use super::super::unusable::Unusable;

fn pbkdf2(prf: Prf, rest: &str) -> Result<ForeignHash, Unusable> {
    let [rounds, salt, hash] = super::parts(rest, '$')?;
    let salt = salt.as_bytes().to_vec();
    super::pbkdf2(prf, number(rounds)?, salt, of_standard(hash)?)
}

fn scrypt(rest: &str) -> Result<ForeignHash, Unusable> {
    let [n, salt, r, p, hash] = super::parts(rest, '$')?;
    let recipe = Recipe::Scrypt(super::scrypt_of_n(n, r, p)?, Form::Typed);
    ForeignHash::bare(recipe, salt.as_bytes().to_vec(), of_standard(hash)?)
}

fn digest(digest: Digest, rest: &str) -> Result<ForeignHash, Unusable> {
    let [salt, hash] = super::parts(rest, '$')?;
    let recipe = Recipe::Digest(digest, Order::SaltFirst);
    ForeignHash::bare(recipe, salt.as_bytes().to_vec(), of_hex(hash)?)
}

/// Reads a hash; one that begins with `!` belongs to a user who has no password.
pub(super) fn read(text: &str) -> Result<ForeignHash, Unusable> {
    if text.starts_with('!') {
        return Err(Unusable::NoPassword);
    }
    let Some((algorithm, rest)) = text.split_once('$') else {
        // `unsalted_md5` has no other part.
        let recipe = Recipe::Digest(Digest::Md5, Order::SaltFirst);
        return ForeignHash::bare(recipe, Vec::new(), of_hex(text)?);
    };
    match algorithm {
        "pbkdf2_sha256" => pbkdf2(Prf::Sha256, rest),
        "pbkdf2_sha1" => pbkdf2(Prf::Sha1, rest),
        "scrypt" => scrypt(rest),
        "argon2" => phc::read(&format!("${rest}"), Scope::Foreign),
        "bcrypt" => bcrypt::read(rest, Before::Nothing),
        "bcrypt_sha256" => bcrypt::read(rest, Before::Hex),
        "md5" => digest(Digest::Md5, rest),
        "sha1" => digest(Digest::Sha1, rest),
        _ => Err(Unusable::Unknown),
    }
}
