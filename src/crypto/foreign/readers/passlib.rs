//! The modular form of `crypt` with what passlib and phpass added to it, and the schemes of LDAP.

use super::super::base64s::{of_passlib, of_standard};
use super::super::forms::Form;
use super::super::params::{Params, number};
use super::super::recipe::{Before, Digest, Order, Prf, Recipe, Scope, Scrypt};
use super::super::stored::ForeignHash;
use super::super::unusable::Unusable;
use super::super::{bcrypt, crypt, phc, phpass};

fn pbkdf2(prf: Prf, rest: &str) -> Result<ForeignHash, Unusable> {
    let [rounds, salt, hash] = super::parts(rest, '$')?;
    super::pbkdf2(prf, number(rounds)?, of_passlib(salt)?, of_passlib(hash)?)
}

fn scrypt(rest: &str) -> Result<ForeignHash, Unusable> {
    let [params, salt, hash] = super::parts(rest, '$')?;
    let mut params = Params::new(params);
    let scrypt = Scrypt {
        log_n: params.number("ln")?,
        r: params.number("r")?,
        p: params.number("p")?,
    };
    params.end()?;
    let recipe = Recipe::Scrypt(scrypt, Form::Typed);
    ForeignHash::bare(recipe, of_standard(salt)?, of_standard(hash)?)
}

/// Reads what follows a scheme such as `{SSHA}`.
fn ldap(scheme: &str, rest: &str) -> Result<ForeignHash, Unusable> {
    let digest = match scheme {
        "MD5" | "SMD5" => Digest::Md5,
        "SHA" | "SSHA" => Digest::Sha1,
        "SHA256" | "SSHA256" => Digest::Sha256,
        "SHA512" | "SSHA512" => Digest::Sha512,
        "PBKDF2" => return pbkdf2(Prf::Sha1, rest),
        "PBKDF2-SHA256" => return pbkdf2(Prf::Sha256, rest),
        "PBKDF2-SHA512" => return pbkdf2(Prf::Sha512, rest),
        "CRYPT" => return modular(rest),
        _ => return Err(Unusable::Unknown),
    };
    let recipe = Recipe::Digest(digest, Order::PasswordFirst);
    let mut hash = of_standard(rest)?;
    let salt = hash.split_off((*recipe.outputs().end()).min(hash.len()));
    if scheme.starts_with("SS") || scheme.starts_with("SM") || salt.is_empty() {
        ForeignHash::bare(recipe, salt, hash)
    } else {
        Err(Unusable::Malformed)
    }
}

fn modular(text: &str) -> Result<ForeignHash, Unusable> {
    let marked = text.strip_prefix('$').and_then(|rest| rest.split_once('$'));
    let (name, rest) = marked.ok_or(Unusable::Unknown)?;
    match name {
        "1" | "5" | "6" => crypt::read(text),
        "P" | "H" => phpass::read(text),
        "2a" | "2b" | "2y" => bcrypt::read(text, Before::Nothing),
        "bcrypt-sha256" => bcrypt::read_passlib(text),
        "argon2id" | "argon2i" | "argon2d" => phc::read(text, Scope::Foreign),
        "pbkdf2" => pbkdf2(Prf::Sha1, rest),
        "pbkdf2-sha256" => pbkdf2(Prf::Sha256, rest),
        "pbkdf2-sha512" => pbkdf2(Prf::Sha512, rest),
        "scrypt" => scrypt(rest),
        _ => Err(Unusable::Unknown),
    }
}

/// Reads a hash. `*` and `!` are what systems write for a user who has no password.
pub(super) fn read(text: &str) -> Result<ForeignHash, Unusable> {
    if text.starts_with(['*', '!']) {
        return Err(Unusable::NoPassword);
    }
    let scheme = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    match scheme {
        Some((scheme, rest)) => ldap(&scheme.to_ascii_uppercase(), rest),
        None => modular(text),
    }
}
