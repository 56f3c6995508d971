//! Compares a password with a hash of other software, by each form of its text that may have been
//! hashed, and says how the hash is to be made anew.

use argon2::{Algorithm, Block, Version};
use subtle::ConstantTimeEq;

use crate::crypto::argon2id::{Cost, OUTPUT, SALT};
use crate::model::account::password::Password;

use super::bcrypt::READ;
use super::derive::Bench;
use super::forms::{Form, Renewal};
use super::pepper::{OtherPepper, Pepper};
use super::recipe::{Argon2, Recipe, Scope};
use super::stored::ForeignHash;

/// Returns the forms in which a password is tried: that of the other software, and NFC if that is
/// another text.
fn forms(first: Form, password: &Password) -> impl Iterator<Item = Form> {
    let differs = *first.of(password) != *password.text();
    [Some(first), differs.then_some(Form::Normal)]
        .into_iter()
        .flatten()
}

/// Compares a password with a hash: `None` if it is wrong. A wrong one costs the same work whatever is
/// wrong with it.
///
/// # Errors
/// [`OtherPepper`], without which the hash cannot be computed.
pub fn verify(
    hash: &ForeignHash,
    password: &Password,
    wanted: Cost,
    pepper: Option<&Pepper>,
    memory: &mut Vec<Block>,
) -> Result<Option<Renewal>, OtherPepper> {
    let mut bench = Bench { memory, pepper };
    for form in forms(hash.recipe.form(), password) {
        let text = form.of(password);
        let refused = hash.recipe.ends_at_nul() && text.as_bytes().contains(&0);
        if matches(hash, text.as_bytes(), &mut bench).ok_or(OtherPepper)? && !refused {
            return Ok(Some(renewal(&hash.recipe, form, text.len(), wanted)));
        }
    }
    Ok(None)
}

fn matches(hash: &ForeignHash, text: &[u8], bench: &mut Bench<'_>) -> Option<bool> {
    let length = hash
        .wrap
        .as_ref()
        .map_or(hash.hash.len(), |wrap| wrap.inner);
    let output = hash.recipe.output(text, &hash.salt, length, bench)?;
    let output = match &hash.wrap {
        None => output.to_vec(),
        Some(wrap) => wrap.around(&output, bench.memory)?,
    };
    Some(bool::from(output.ct_eq(&hash.hash)))
}

/// Returns how the hash of a right password is replaced, which had so many bytes in this form.
fn renewal(recipe: &Recipe, form: Form, length: usize, wanted: Cost) -> Renewal {
    match recipe {
        Recipe::Argon2(argon2) if argon2.scope == Scope::Cut => {
            if argon2.cost.is_weaker_than(wanted) {
                Renewal::Cut(form)
            } else {
                Renewal::None
            }
        }
        // With exactly so many bytes the end was not looked at either: the password may be longer.
        recipe if recipe.cuts() && length >= READ => Renewal::Cut(form),
        _ => Renewal::Whole,
    }
}

/// Returns the hash of the first 72 bytes of a password in this form; `None` if the cost is impossible.
pub fn cut_hash(
    password: &Password,
    form: Form,
    cost: Cost,
    salt: [u8; SALT],
    memory: &mut Vec<Block>,
) -> Option<ForeignHash> {
    let recipe = Recipe::Argon2(Argon2 {
        variant: Algorithm::Argon2id,
        version: Version::V0x13,
        cost,
        scope: Scope::Cut,
    });
    let pepper = None;
    let text = form.of(password);
    let output = recipe.output(
        text.as_bytes(),
        &salt,
        OUTPUT,
        &mut Bench { memory, pepper },
    )?;
    ForeignHash::bare(recipe, salt.to_vec(), output.to_vec()).ok()
}
