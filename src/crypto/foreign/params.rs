//! The parameters of a stored text: `name=value` with commas between them, in a fixed order.

use std::iter::Peekable;
use std::str::{FromStr, Split};

use super::unusable::Unusable;

/// The parameters that are still to be read.
pub(super) struct Params<'t>(Peekable<Split<'t, char>>);

impl<'t> Params<'t> {
    /// Begins to read them; an empty text has none.
    pub(super) fn new(text: &'t str) -> Self {
        let mut parts = text.split(',').peekable();
        if text.is_empty() {
            parts.next();
        }
        Self(parts)
    }

    /// Reads the next parameter if it has this name.
    pub(super) fn optional(&mut self, name: &str) -> Option<&'t str> {
        let part = self.0.next_if(|part| value_of(part, name).is_some())?;
        value_of(part, name)
    }

    /// Reads the next parameter, which must have this name.
    pub(super) fn word(&mut self, name: &str) -> Result<&'t str, Unusable> {
        self.optional(name).ok_or(Unusable::Malformed)
    }

    /// Reads the next parameter, which must have this name and be a number. One that is too large for
    /// its type costs too much.
    pub(super) fn number<T: FromStr>(&mut self, name: &str) -> Result<T, Unusable> {
        number(self.word(name)?)
    }

    /// Checks that nothing follows.
    pub(super) fn end(mut self) -> Result<(), Unusable> {
        match self.0.next() {
            None => Ok(()),
            Some(_) => Err(Unusable::Malformed),
        }
    }
}

fn value_of<'t>(part: &'t str, name: &str) -> Option<&'t str> {
    part.strip_prefix(name)?.strip_prefix('=')
}

/// Reads a whole number. Digits that are too large for the type cost too much.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, Unusable> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unusable::Malformed);
    }
    text.parse().map_err(|_| Unusable::TooCostly)
}
