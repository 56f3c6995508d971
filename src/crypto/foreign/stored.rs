//! A hash of other software with its salt, bare or wrapped into argon2id.

use argon2::Block;
use zeroize::Zeroizing;

use crate::crypto::argon2id::{Cost, OUTPUT, SALT, argon2id};

use super::kind::Kind;
use super::recipe::Recipe;
use super::unusable::Unusable;

/// argon2id over the output of a recipe that is too cheap by itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Wrap {
    pub(super) cost: Cost,
    pub(super) salt: Vec<u8>,
    /// The length of the output that is wrapped.
    pub(super) inner: usize,
}

impl Wrap {
    /// Returns the hash of an output.
    pub(super) fn around(&self, output: &[u8], memory: &mut Vec<Block>) -> Option<Vec<u8>> {
        argon2id(output, &self.salt, self.cost, memory).map(|hash| hash.to_vec())
    }
}

/// A hash that other software made, within the bounds of what may be verified. Its `Debug` output has
/// its kind alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignHash {
    pub(super) recipe: Recipe,
    pub(super) salt: Vec<u8>,
    pub(super) wrap: Option<Wrap>,
    pub(super) hash: Zeroizing<Vec<u8>>,
}

impl ForeignHash {
    /// Puts the parts of a bare hash together.
    ///
    /// # Errors
    /// [`Unusable::TooCostly`] and [`Unusable::Malformed`].
    pub(super) fn bare(recipe: Recipe, salt: Vec<u8>, hash: Vec<u8>) -> Result<Self, Unusable> {
        Self::with(recipe, salt, None, hash)
    }

    /// Puts the parts of a hash together.
    ///
    /// # Errors
    /// [`Unusable::TooCostly`] and [`Unusable::Malformed`].
    pub(super) fn with(
        recipe: Recipe,
        salt: Vec<u8>,
        wrap: Option<Wrap>,
        hash: Vec<u8>,
    ) -> Result<Self, Unusable> {
        recipe.check()?;
        let inner = match &wrap {
            None => hash.len(),
            Some(wrap) if wrap.cost.exceeds(Cost::MAX) => return Err(Unusable::TooCostly),
            Some(wrap) => {
                if !wrap.cost.is_possible() || wrap.salt.len() != SALT || hash.len() != OUTPUT {
                    return Err(Unusable::Malformed);
                }
                wrap.inner
            }
        };
        if !recipe.salts().contains(&salt.len()) || !recipe.outputs().contains(&inner) {
            return Err(Unusable::Malformed);
        }
        let hash = Zeroizing::new(hash);
        Ok(Self {
            recipe,
            salt,
            wrap,
            hash,
        })
    }

    /// Returns the kind of the hash, wrapped or not.
    pub fn kind(&self) -> Kind {
        self.recipe.kind()
    }

    /// Returns whether it is wrapped into argon2id.
    pub fn is_wrapped(&self) -> bool {
        self.wrap.is_some()
    }

    /// Returns whether it may not be stored as it is, because it costs less than a tenth of a hash of
    /// our own at this cost.
    pub fn must_be_wrapped(&self, ours: Cost) -> bool {
        self.wrap.is_none() && self.recipe.is_cheap(ours)
    }

    /// Wraps the hash into argon2id; one that is wrapped stays as it is. `None` if the cost is
    /// impossible.
    pub(in crate::crypto) fn wrapped(
        self,
        cost: Cost,
        salt: &[u8; SALT],
        memory: &mut Vec<Block>,
    ) -> Option<Self> {
        if self.wrap.is_some() {
            return Some(self);
        }
        let wrap = Wrap {
            cost,
            salt: salt.to_vec(),
            inner: self.hash.len(),
        };
        let hash = Zeroizing::new(wrap.around(&self.hash, memory)?);
        let recipe = match self.recipe {
            // The stored text of a wrapped hash has no place for the letter, which changes nothing.
            Recipe::Bcrypt { cost, before, .. } => Recipe::Bcrypt {
                cost,
                letter: b'b',
                before,
            },
            other => other,
        };
        let wrap = Some(wrap);
        Some(Self {
            recipe,
            wrap,
            hash,
            ..self
        })
    }
}

impl std::fmt::Debug for ForeignHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ForeignHash({}…)", self.kind().name())
    }
}
