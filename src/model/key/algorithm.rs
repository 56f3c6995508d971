//! The signature algorithms of access tokens (RFC 7518, RFC 8037, RFC 9864). Each has its own keys:
//! a JWK names one algorithm, and no key may verify under two names.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A signature algorithm of access tokens. The order is that of keys in a JWK Set, after those of
/// the default audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// Ed25519 under the name of RFC 8037, which most libraries know.
    EdDsa,
    /// Ed25519 under the name of RFC 9864, which replaces `EdDSA`.
    Ed25519,
    /// ECDSA on the curve P-256 with SHA-256.
    Es256,
    /// RSA with PKCS #1 v1.5 padding and SHA-256, which every library and product verifies.
    Rs256,
}

/// The type of a key (`kty` and `crv` of RFC 7517).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `OKP` with the curve Ed25519.
    Ed25519,
    /// `EC` with the curve P-256.
    P256,
    /// `RSA`.
    Rsa,
}

/// The size of RSA keys that are made here. Imported ones may have up to 4096 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RsaSize {
    /// 2048 bits.
    #[default]
    Bits2048,
    /// 3072 bits; a signature takes nearly three times as long.
    Bits3072,
}

/// The text is not the name of a supported algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write EdDSA, Ed25519, ES256 or RS256")]
pub struct UnknownAlgorithm;

impl Algorithm {
    /// All algorithms, in their order.
    pub const ALL: [Self; 4] = [Self::EdDsa, Self::Ed25519, Self::Es256, Self::Rs256];

    /// Returns the registered name: the `alg` of tokens and of JWKs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// Returns the type of the keys that sign by this algorithm.
    pub fn key_type(self) -> KeyType {
        match self {
            Self::EdDsa | Self::Ed25519 => KeyType::Ed25519,
            Self::Es256 => KeyType::P256,
            Self::Rs256 => KeyType::Rsa,
        }
    }

    /// Returns how long after its expiry a verifier may still accept a token, as a tolerance for
    /// clocks: 60 s in the libraries that verify Ed25519, 300 s in .NET for the others.
    pub fn leeway(self) -> Duration {
        match self {
            Self::EdDsa | Self::Ed25519 => Duration::from_secs(60),
            Self::Es256 | Self::Rs256 => Duration::from_secs(300),
        }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let mut all = Self::ALL.into_iter();
        all.find(|a| a.as_str() == text).ok_or(UnknownAlgorithm)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Algorithm {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_known_by_its_registered_name_alone() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
            assert_eq!(algorithm.to_string(), algorithm.as_str());
        }
        for text in ["", "eddsa", "HS256", "none", "PS256", "ES384", "RS256 "] {
            assert_eq!(text.parse::<Algorithm>(), Err(UnknownAlgorithm), "{text:?}");
        }
    }
}
