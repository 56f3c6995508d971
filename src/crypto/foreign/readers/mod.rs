//! Reads hashes as each software writes them.

mod aspnet;
mod better_auth;
mod django;
mod firebase;
mod keycloak;
mod passlib;
mod werkzeug;

use super::base64s::{of_hex, of_standard};
use super::bcrypt;
use super::params::number;
use super::pepper::Pepper;
use super::phc;
use super::recipe::{Before, Digest, Order, Prf, Recipe, Scope, Scrypt};
use super::stored::ForeignHash;
use super::unusable::Unusable;

pub use firebase::FirebaseParameters;

/// The longest text of a hash that is read, in bytes.
const LONGEST: usize = 4_096;

/// A software, by the form in which it writes hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Our own stored text.
    Stored,
    /// argon2 in the form that all software shares.
    Argon2,
    /// `$2a$`, `$2b$` and `$2y$`.
    Bcrypt,
    /// Better Auth: `salt:key`.
    BetterAuth,
    /// Django: `algorithm$…`.
    Django,
    /// Werkzeug (Flask): `method:…$salt$hash`.
    Werkzeug,
    /// `crypt`, passlib, phpass and the schemes of LDAP.
    Passlib,
    /// ASP.NET Identity, versions 2 and 3.
    Aspnet,
    /// Keycloak: `secretData` and `credentialData` of a credential.
    Keycloak,
    /// Firebase, with the parameters of the project and the salt of the row.
    Firebase,
    /// Devise (Rails), with its pepper if it has one.
    Devise,
    /// A plain MD5 in hexadecimal or base64, with the salt of the row if there is one.
    RawMd5,
    /// A plain SHA-1, as [`Self::RawMd5`].
    RawSha1,
    /// A plain SHA-256, as [`Self::RawMd5`].
    RawSha256,
    /// A plain SHA-512, as [`Self::RawMd5`].
    RawSha512,
}

impl Format {
    /// Every format that is read.
    pub const ALL: [Self; 15] = [
        Self::Stored,
        Self::Argon2,
        Self::Bcrypt,
        Self::BetterAuth,
        Self::Django,
        Self::Werkzeug,
        Self::Passlib,
        Self::Aspnet,
        Self::Keycloak,
        Self::Firebase,
        Self::Devise,
        Self::RawMd5,
        Self::RawSha1,
        Self::RawSha256,
        Self::RawSha512,
    ];

    /// Returns the name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Argon2 => "argon2",
            Self::Bcrypt => "bcrypt",
            Self::BetterAuth => "better-auth",
            Self::Django => "django",
            Self::Werkzeug => "werkzeug",
            Self::Passlib => "passlib",
            Self::Aspnet => "aspnet",
            Self::Keycloak => "keycloak",
            Self::Firebase => "firebase",
            Self::Devise => "devise",
            Self::RawMd5 => "md5",
            Self::RawSha1 => "sha1",
            Self::RawSha256 => "sha256",
            Self::RawSha512 => "sha512",
        }
    }
}

/// The salt of a row that stands in a column of its own.
#[derive(Debug, Clone, Copy)]
pub enum Salt<'a> {
    /// The bytes of this text.
    Text(&'a str),
    /// Bytes in hexadecimal.
    Hex(&'a str),
    /// Bytes in base64.
    Base64(&'a str),
}

impl Salt<'_> {
    fn bytes(self) -> Result<Vec<u8>, Unusable> {
        match self {
            Self::Text(text) => Ok(text.as_bytes().to_vec()),
            Self::Hex(text) => of_hex(text),
            Self::Base64(text) => of_standard(text),
        }
    }
}

/// What does not stand in the text of the hash.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// The salt of the row, for plain digests and Firebase.
    pub salt: Option<Salt<'a>>,
    /// On which side of the password the salt of a plain digest stands.
    pub order: Order,
    /// The pepper of Devise, which is also the setting `passwords.pepper`.
    pub pepper: Option<&'a Pepper>,
    /// The parameters of a project of Firebase.
    pub firebase: Option<&'a FirebaseParameters>,
}

impl ForeignHash {
    /// Reads a hash as this software writes it.
    ///
    /// # Errors
    /// [`Unusable`]: its user comes without a password.
    pub fn from_software(
        format: Format,
        text: &str,
        options: &Options<'_>,
    ) -> Result<Self, Unusable> {
        if text.is_empty() {
            return Err(Unusable::NoPassword);
        }
        if text.len() > LONGEST {
            return Err(Unusable::Malformed);
        }
        match format {
            Format::Stored => Self::parse(text),
            Format::Argon2 => phc::read(text, Scope::Foreign),
            Format::Bcrypt => bcrypt::read(text, Before::Nothing),
            Format::BetterAuth => better_auth::read(text),
            Format::Django => django::read(text),
            Format::Werkzeug => werkzeug::read(text),
            Format::Passlib => passlib::read(text),
            Format::Aspnet => aspnet::read(text),
            Format::Keycloak => keycloak::read(text),
            Format::Firebase => firebase::read(text, options),
            Format::Devise => {
                let pepper = options.pepper.map(|pepper| Before::Pepper(pepper.id()));
                bcrypt::read(text, pepper.unwrap_or(Before::Nothing))
            }
            Format::RawMd5 => raw(Digest::Md5, text, options),
            Format::RawSha1 => raw(Digest::Sha1, text, options),
            Format::RawSha256 => raw(Digest::Sha256, text, options),
            Format::RawSha512 => raw(Digest::Sha512, text, options),
        }
    }
}

fn raw(digest: Digest, text: &str, options: &Options<'_>) -> Result<ForeignHash, Unusable> {
    let salt = options.salt.map(Salt::bytes).transpose()?;
    let recipe = Recipe::Digest(digest, options.order);
    let hash = if text.len() == 2 * recipe.outputs().end() {
        of_hex(text)?
    } else {
        of_standard(text)?
    };
    ForeignHash::bare(recipe, salt.unwrap_or_default(), hash)
}

/// Returns PBKDF2's hash. Each block of the output says the same about the password, so the first one
/// is kept, and the others are neither computed nor compared.
fn pbkdf2(
    prf: Prf,
    rounds: u32,
    salt: Vec<u8>,
    mut hash: Vec<u8>,
) -> Result<ForeignHash, Unusable> {
    hash.truncate(prf.block());
    ForeignHash::bare(Recipe::Pbkdf2 { prf, rounds }, salt, hash)
}

/// Reads the parameters of scrypt whose first one is N itself.
fn scrypt_of_n(n: &str, r: &str, p: &str) -> Result<Scrypt, Unusable> {
    let n: u64 = number(n)?;
    if !n.is_power_of_two() {
        return Err(Unusable::Malformed);
    }
    Ok(Scrypt {
        log_n: u8::try_from(n.ilog2()).map_err(|_| Unusable::TooCostly)?,
        r: number(r)?,
        p: number(p)?,
    })
}

/// Splits a text into exactly so many parts.
fn parts<const N: usize>(text: &str, separator: char) -> Result<[&str; N], Unusable> {
    let mut split = text.split(separator);
    let mut parts = [""; N];
    for part in &mut parts {
        *part = split.next().ok_or(Unusable::Malformed)?;
    }
    match split.next() {
        None => Ok(parts),
        Some(_) => Err(Unusable::Malformed),
    }
}
