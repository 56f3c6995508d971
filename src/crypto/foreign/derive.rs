//! Computes what a recipe says, from a text and a salt.

use std::num::NonZeroU32;

use argon2::{Algorithm, Block, Params, Version};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use super::pepper::Pepper;
use super::recipe::{Argon2, Prf, Recipe, Scope, Scrypt};
use super::{bcrypt, crypt, digest, phpass};

/// What the computation of a hash needs beside text and salt.
pub(super) struct Bench<'b> {
    /// The memory of argon2, which is used again.
    pub(super) memory: &'b mut Vec<Block>,
    /// The pepper of the settings.
    pub(super) pepper: Option<&'b Pepper>,
}

impl Recipe {
    /// Returns the output of so many bytes; `None` if that is not possible, as without the pepper.
    pub(super) fn output(
        &self,
        text: &[u8],
        salt: &[u8],
        length: usize,
        bench: &mut Bench<'_>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let output = match *self {
            Self::Argon2(recipe) => argon2(recipe, text, salt, length, bench.memory)?,
            Self::Bcrypt { cost, before, .. } => {
                bcrypt::hash((cost, before), text, salt, bench.pepper)?
            }
            Self::Pbkdf2 { prf, rounds } => pbkdf2(prf, rounds, text, salt, length)?,
            Self::Scrypt(params, _) => scrypt(params, text, salt, length)?,
            Self::Firebase(params) => firebase(params, text, salt, length)?,
            Self::Sha256Crypt { rounds } => crypt::sha256(text, salt, rounds)?,
            Self::Sha512Crypt { rounds } => crypt::sha512(text, salt, rounds)?,
            Self::Md5Crypt => crypt::md5(text, salt),
            Self::Phpass { log_rounds } => phpass::hash(text, salt, log_rounds),
            Self::Digest(digest, order) => digest::hash(digest, order, text, salt),
        };
        Some(Zeroizing::new(output))
    }
}

fn argon2(
    recipe: Argon2,
    text: &[u8],
    salt: &[u8],
    length: usize,
    memory: &mut Vec<Block>,
) -> Option<Vec<u8>> {
    let cost = recipe.cost;
    let params = Params::new(cost.memory, cost.iterations, cost.parallelism, Some(length)).ok()?;
    let text = match recipe.scope {
        Scope::Cut => &text[..text.len().min(bcrypt::READ)],
        Scope::Own | Scope::Foreign => text,
    };
    memory.resize(params.block_count(), Block::default());
    let mut output = vec![0; length];
    let (variant, version): (Algorithm, Version) = (recipe.variant, recipe.version);
    argon2::Argon2::new(variant, version, params)
        .hash_password_into_with_memory(text, salt, &mut output, &mut memory[..])
        .ok()?;
    Some(output)
}

fn pbkdf2(prf: Prf, rounds: u32, text: &[u8], salt: &[u8], length: usize) -> Option<Vec<u8>> {
    let algorithm = match prf {
        Prf::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        Prf::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Prf::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
    };
    let mut output = vec![0; length];
    pbkdf2::derive(algorithm, NonZeroU32::new(rounds)?, salt, text, &mut output);
    Some(output)
}

fn scrypt(params: Scrypt, text: &[u8], salt: &[u8], length: usize) -> Option<Vec<u8>> {
    let params = scrypt::Params::new(params.log_n, params.r, params.p).ok()?;
    let mut output = vec![0; length];
    scrypt::scrypt(text, salt, &params, &mut output).ok()?;
    Some(output)
}

/// Returns the key stream of AES-256-CTR under the derived key. Firebase stores the signer key of a
/// project under it; its reader has taken that key off.
fn firebase(params: Scrypt, text: &[u8], salt: &[u8], length: usize) -> Option<Vec<u8>> {
    let key = Zeroizing::new(scrypt(params, text, salt, 32)?);
    let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, &key).ok()?).ok()?;
    let start = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    let mut stream = vec![0; length];
    key.less_safe_encrypt(&mut stream, start).ok()?;
    Some(stream)
}
