//! What other software computes from a password: the function and its parameters, without the salt.

use std::ops::RangeInclusive;

use crate::crypto::argon2id::Cost;

use super::forms::Form;
use super::kind::Kind;

/// A variant of argon2, with its version, and which text it hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Argon2 {
    pub(super) variant: argon2::Algorithm,
    pub(super) version: argon2::Version,
    pub(super) cost: Cost,
    pub(super) scope: Scope,
}

/// Whose argon2 it is, and how much of the text it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// This service's own: all of the text in NFC.
    Own,
    /// That of other software: all of the text as it was typed.
    Foreign,
    /// This service's own in place of a hash of bcrypt: the first 72 bytes.
    Cut,
}

/// What happens to a text before bcrypt hashes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// The pepper with this fingerprint follows it.
    Pepper([u8; 4]),
    /// SHA-256 in hexadecimal (Django).
    Hex,
    /// SHA-256 in base64 (the first version of passlib).
    Base64,
    /// HMAC-SHA-256 under the text of the salt, in base64 (the second version of passlib).
    Hmac,
}

/// The hash function below PBKDF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prf {
    Sha1,
    Sha256,
    Sha512,
}

impl Prf {
    pub(super) const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns the length of its first block, which is all that is compared.
    pub(super) const fn block(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The parameters of scrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scrypt {
    /// The binary logarithm of N.
    pub(super) log_n: u8,
    pub(super) r: u32,
    pub(super) p: u32,
}

/// On which side of the password the salt stands in a plain digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The salt comes first.
    #[default]
    SaltFirst,
    /// The password comes first.
    PasswordFirst,
}

/// A plain hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// A function with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipe {
    Argon2(Argon2),
    /// With its cost, and the letter of `$2a$`, `$2b$` or `$2y$`, which changes nothing.
    Bcrypt {
        cost: u32,
        letter: u8,
        before: Before,
    },
    Pbkdf2 {
        prf: Prf,
        rounds: u32,
    },
    Scrypt(Scrypt, Form),
    Firebase(Scrypt),
    Sha256Crypt {
        rounds: u32,
    },
    Sha512Crypt {
        rounds: u32,
    },
    Md5Crypt,
    Phpass {
        log_rounds: u32,
    },
    Digest(Digest, Order),
}

impl Recipe {
    /// Returns the kind of its hashes.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Argon2(_) => Kind::Argon2,
            Self::Bcrypt { .. } => Kind::Bcrypt,
            Self::Pbkdf2 { .. } => Kind::Pbkdf2,
            Self::Scrypt(..) => Kind::Scrypt,
            Self::Firebase(_) => Kind::Firebase,
            Self::Sha256Crypt { .. } => Kind::Sha256Crypt,
            Self::Sha512Crypt { .. } => Kind::Sha512Crypt,
            Self::Md5Crypt => Kind::Md5Crypt,
            Self::Phpass { .. } => Kind::Phpass,
            Self::Digest(Digest::Md5, _) => Kind::Md5,
            Self::Digest(Digest::Sha1, _) => Kind::Sha1,
            Self::Digest(Digest::Sha256, _) => Kind::Sha256,
            Self::Digest(Digest::Sha512, _) => Kind::Sha512,
        }
    }

    /// Returns the possible lengths of its salt, in bytes.
    pub(super) fn salts(&self) -> RangeInclusive<usize> {
        match self {
            Self::Argon2(_) => 8..=64,
            Self::Bcrypt { .. } => 16..=16,
            Self::Phpass { .. } => 8..=8,
            Self::Md5Crypt => 0..=8,
            Self::Sha256Crypt { .. } | Self::Sha512Crypt { .. } => 0..=16,
            Self::Pbkdf2 { .. } | Self::Scrypt(..) | Self::Firebase(_) | Self::Digest(..) => {
                0..=255
            }
        }
    }

    /// Returns the possible lengths of its output, in bytes. A short one would take many passwords.
    pub(super) fn outputs(&self) -> RangeInclusive<usize> {
        match self {
            Self::Argon2(_) | Self::Firebase(_) | Self::Scrypt(..) => 16..=64,
            Self::Bcrypt { .. } => 23..=23,
            Self::Pbkdf2 { prf, .. } => 16..=prf.block(),
            Self::Sha256Crypt { .. } | Self::Digest(Digest::Sha256, _) => 32..=32,
            Self::Sha512Crypt { .. } | Self::Digest(Digest::Sha512, _) => 64..=64,
            Self::Digest(Digest::Sha1, _) => 20..=20,
            Self::Md5Crypt | Self::Phpass { .. } | Self::Digest(Digest::Md5, _) => 16..=16,
        }
    }

    /// Returns the form of the text that its software hashed.
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Argon2(argon2) if argon2.scope == Scope::Own => Form::Normal,
            Self::Scrypt(_, form) => *form,
            Self::Argon2(_)
            | Self::Bcrypt { .. }
            | Self::Pbkdf2 { .. }
            | Self::Firebase(_)
            | Self::Sha256Crypt { .. }
            | Self::Sha512Crypt { .. }
            | Self::Md5Crypt
            | Self::Phpass { .. }
            | Self::Digest(..) => Form::Typed,
        }
    }

    /// Returns whether its software reads a text up to the first NUL. Such a password would be one of
    /// many here and is refused.
    pub(super) fn ends_at_nul(&self) -> bool {
        match self {
            Self::Bcrypt { before, .. } => matches!(before, Before::Nothing | Before::Pepper(_)),
            Self::Sha256Crypt { .. } | Self::Sha512Crypt { .. } | Self::Md5Crypt => true,
            Self::Argon2(_)
            | Self::Pbkdf2 { .. }
            | Self::Scrypt(..)
            | Self::Firebase(_)
            | Self::Phpass { .. }
            | Self::Digest(..) => false,
        }
    }

    /// Returns whether its software looks at no more than the first 72 bytes of a text.
    pub(super) fn cuts(&self) -> bool {
        matches!(
            self,
            Self::Bcrypt {
                before: Before::Nothing | Before::Pepper(_),
                ..
            }
        )
    }
}
