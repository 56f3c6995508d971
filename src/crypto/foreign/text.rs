//! The stored form: one text for each hash, as `accounts.password_hash` holds it. That of bcrypt is
//! bcrypt's own; all others are `$cs$KIND,PARAMETERS$SALT$HASH`, with base64 without padding.

use crate::crypto::argon2id::{Cost, phc as own_text};

use super::base64s::{of_stored, stored};
use super::bcrypt;
use super::forms::Form;
use super::kind::Kind;
use super::params::Params;
use super::phc;
use super::recipe::{Argon2, Before, Digest, Order, Prf, Recipe, Scope, Scrypt};
use super::stored::{ForeignHash, Wrap};
use super::unusable::Unusable;

const TAG: &str = "$cs$";

/// No stored text is longer, in bytes.
const LONGEST: usize = 1_024;

/// The part of a stored text in front of salt and hash.
pub(super) struct Head {
    pub(super) recipe: Recipe,
    /// The cost of the wrap, and the length of what it holds.
    pub(super) wrap: Option<(Cost, usize)>,
}

impl ForeignHash {
    /// Parses the text of a database or of our own export. Each hash has one text.
    ///
    /// # Errors
    /// [`Unusable`], also for what other software writes otherwise.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        if text.len() > LONGEST {
            return Err(Unusable::Malformed);
        }
        let hash = if text.starts_with("$argon2id$v=19$") {
            phc::read(text, Scope::Own)?
        } else if text.starts_with("$2") {
            bcrypt::read(text, Before::Nothing)?
        } else {
            tagged(text)?
        };
        if hash.print() == text {
            Ok(hash)
        } else {
            Err(Unusable::Malformed)
        }
    }

    /// Prints the text that [`Self::parse`] reads.
    pub fn print(&self) -> String {
        match (&self.recipe, &self.wrap) {
            (Recipe::Argon2(argon2), None) if argon2.scope == Scope::Own => {
                own_text(argon2.cost, &self.salt, &self.hash)
            }
            (
                Recipe::Bcrypt {
                    cost,
                    letter,
                    before: Before::Nothing,
                },
                None,
            ) => bcrypt::print(*cost, *letter, &self.salt, &self.hash),
            (recipe, wrap) => {
                let head = head_text(recipe, wrap.as_ref().map(|wrap| (wrap.cost, wrap.inner)));
                let outer = wrap.as_ref().map(|wrap| stored(&wrap.salt));
                let dot = if outer.is_some() { "." } else { "" };
                format!(
                    "{head}{}{dot}{}${}",
                    stored(&self.salt),
                    outer.unwrap_or_default(),
                    stored(&self.hash)
                )
            }
        }
    }
}

fn tagged(text: &str) -> Result<ForeignHash, Unusable> {
    let rest = text.strip_prefix(TAG).ok_or(Unusable::Unknown)?;
    let mut parts = rest.split('$');
    let (Some(head), Some(salt), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Unusable::Malformed);
    };
    let Head { recipe, wrap } = read_head(head)?;
    let hash = of_stored(hash)?;
    let Some((cost, inner)) = wrap else {
        return ForeignHash::bare(recipe, of_stored(salt)?, hash);
    };
    let (salt, outer) = salt.split_once('.').ok_or(Unusable::Malformed)?;
    let wrap = Wrap {
        cost,
        salt: of_stored(outer)?,
        inner,
    };
    ForeignHash::with(recipe, of_stored(salt)?, Some(wrap), hash)
}

/// Reads the kind and the parameters.
pub(super) fn read_head(text: &str) -> Result<Head, Unusable> {
    let (name, params) = text.split_once(',').unwrap_or((text, ""));
    let kind = Kind::of_name(name).ok_or(Unusable::Unknown)?;
    let mut params = Params::new(params);
    let recipe = read_recipe(kind, &mut params)?;
    let wrap = match params.optional("wl") {
        None => None,
        Some(inner) => {
            let cost = Cost {
                memory: params.number("wm")?,
                iterations: params.number("wt")?,
                parallelism: params.number("wp")?,
            };
            Some((cost, super::params::number(inner)?))
        }
    };
    params.end()?;
    Ok(Head { recipe, wrap })
}

fn read_recipe(kind: Kind, params: &mut Params<'_>) -> Result<Recipe, Unusable> {
    Ok(match kind {
        Kind::Argon2 => read_argon2(params)?,
        Kind::Bcrypt => Recipe::Bcrypt {
            cost: params.number("c")?,
            letter: b'b',
            before: read_before(params.word("pre")?)?,
        },
        Kind::Pbkdf2 => {
            let name = params.word("f")?;
            let prf = Prf::ALL.into_iter().find(|prf| prf.name() == name);
            Recipe::Pbkdf2 {
                prf: prf.ok_or(Unusable::Malformed)?,
                rounds: params.number("i")?,
            }
        }
        Kind::Scrypt => {
            let scrypt = read_scrypt(params)?;
            let form = match params.optional("form") {
                None => Form::Typed,
                Some("nfkc") => Form::Compatible,
                Some(_) => return Err(Unusable::Malformed),
            };
            Recipe::Scrypt(scrypt, form)
        }
        Kind::Firebase => Recipe::Firebase(read_scrypt(params)?),
        Kind::Sha256Crypt => Recipe::Sha256Crypt {
            rounds: params.number("i")?,
        },
        Kind::Sha512Crypt => Recipe::Sha512Crypt {
            rounds: params.number("i")?,
        },
        Kind::Md5Crypt => Recipe::Md5Crypt,
        Kind::Phpass => Recipe::Phpass {
            log_rounds: params.number("ln")?,
        },
        Kind::Md5 => Recipe::Digest(Digest::Md5, read_order(params)?),
        Kind::Sha1 => Recipe::Digest(Digest::Sha1, read_order(params)?),
        Kind::Sha256 => Recipe::Digest(Digest::Sha256, read_order(params)?),
        Kind::Sha512 => Recipe::Digest(Digest::Sha512, read_order(params)?),
    })
}

fn read_argon2(params: &mut Params<'_>) -> Result<Recipe, Unusable> {
    let variant = phc::variant(params.word("y")?)?;
    let version = phc::version(params.number("v")?)?;
    let cost = Cost {
        memory: params.number("m")?,
        iterations: params.number("t")?,
        parallelism: params.number("p")?,
    };
    let scope = match (params.optional("cut"), params.optional("own")) {
        (None, None) => Scope::Foreign,
        (Some("72"), None) => Scope::Cut,
        (None, Some("1")) => Scope::Own,
        _ => return Err(Unusable::Malformed),
    };
    Ok(Recipe::Argon2(Argon2 {
        variant,
        version,
        cost,
        scope,
    }))
}

fn read_before(word: &str) -> Result<Before, Unusable> {
    match word {
        "text" => Ok(Before::Nothing),
        "hex" => Ok(Before::Hex),
        "b64" => Ok(Before::Base64),
        "hmac" => Ok(Before::Hmac),
        _ => {
            let mut id = [0; 4];
            let digits = word.strip_prefix("pepper.").ok_or(Unusable::Malformed)?;
            hex::decode_to_slice(digits, &mut id).map_err(|_| Unusable::Malformed)?;
            Ok(Before::Pepper(id))
        }
    }
}

fn read_scrypt(params: &mut Params<'_>) -> Result<Scrypt, Unusable> {
    Ok(Scrypt {
        log_n: params.number("ln")?,
        r: params.number("r")?,
        p: params.number("p")?,
    })
}

fn read_order(params: &mut Params<'_>) -> Result<Order, Unusable> {
    match params.word("salt")? {
        "first" => Ok(Order::SaltFirst),
        "last" => Ok(Order::PasswordFirst),
        _ => Err(Unusable::Malformed),
    }
}

/// Prints everything in front of the salt: what all hashes of the same cost have in common.
pub(super) fn head_text(recipe: &Recipe, wrap: Option<(Cost, usize)>) -> String {
    let (name, params) = (recipe.kind().name(), params_text(recipe));
    let wrap = wrap.map(|(cost, inner)| {
        let (m, t, p) = (cost.memory, cost.iterations, cost.parallelism);
        format!(",wl={inner},wm={m},wt={t},wp={p}")
    });
    format!("{TAG}{name}{params}{}$", wrap.unwrap_or_default())
}

fn params_text(recipe: &Recipe) -> String {
    let scrypt = |s: &Scrypt| format!(",ln={},r={},p={}", s.log_n, s.r, s.p);
    match recipe {
        Recipe::Argon2(argon2) => {
            let cost = argon2.cost;
            let scope = match argon2.scope {
                Scope::Own => ",own=1",
                Scope::Foreign => "",
                Scope::Cut => ",cut=72",
            };
            format!(
                ",y={},v={},m={},t={},p={}{scope}",
                phc::variant_name(argon2.variant),
                u32::from(argon2.version),
                cost.memory,
                cost.iterations,
                cost.parallelism
            )
        }
        Recipe::Bcrypt { cost, before, .. } => {
            let before = match before {
                Before::Nothing => "text".to_owned(),
                Before::Hex => "hex".to_owned(),
                Before::Base64 => "b64".to_owned(),
                Before::Hmac => "hmac".to_owned(),
                Before::Pepper(id) => format!("pepper.{}", hex::encode(id)),
            };
            format!(",c={cost},pre={before}")
        }
        Recipe::Pbkdf2 { prf, rounds } => format!(",f={},i={rounds}", prf.name()),
        Recipe::Scrypt(shape, Form::Compatible) => format!("{},form=nfkc", scrypt(shape)),
        Recipe::Scrypt(shape, _) | Recipe::Firebase(shape) => scrypt(shape),
        Recipe::Sha256Crypt { rounds } | Recipe::Sha512Crypt { rounds } => format!(",i={rounds}"),
        Recipe::Md5Crypt => String::new(),
        Recipe::Phpass { log_rounds } => format!(",ln={log_rounds}"),
        Recipe::Digest(_, Order::SaltFirst) => ",salt=first".to_owned(),
        Recipe::Digest(_, Order::PasswordFirst) => ",salt=last".to_owned(),
    }
}
