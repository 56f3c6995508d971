//! The names of the kinds of hashes, for reports and counts.

/// A kind of hash, by the function that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Argon2,
    Bcrypt,
    Pbkdf2,
    Scrypt,
    Firebase,
    Sha256Crypt,
    Sha512Crypt,
    Md5Crypt,
    Phpass,
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl Kind {
    /// Every kind of hash there is.
    pub const ALL: [Self; 13] = [
        Self::Argon2,
        Self::Bcrypt,
        Self::Pbkdf2,
        Self::Scrypt,
        Self::Firebase,
        Self::Sha256Crypt,
        Self::Sha512Crypt,
        Self::Md5Crypt,
        Self::Phpass,
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
    ];

    /// Returns the name in the stored text and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Argon2 => "argon2",
            Self::Bcrypt => "bcrypt",
            Self::Pbkdf2 => "pbkdf2",
            Self::Scrypt => "scrypt",
            Self::Firebase => "firebase",
            Self::Sha256Crypt => "sha256crypt",
            Self::Sha512Crypt => "sha512crypt",
            Self::Md5Crypt => "md5crypt",
            Self::Phpass => "phpass",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns the kind with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
