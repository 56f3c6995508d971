//! Key pairs of the four algorithms: generated, checked, ready to sign. `import` reads them from
//! files, `private_jwk` writes them, `jws` signs tokens with them, `seal` encrypts them at rest.

use std::sync::Arc;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey as P256Scalar};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::public_key::{InvalidPublicKey, PublicKey};
use crate::model::key::algorithm::{Algorithm, KeyType, RsaSize};
use crate::random::{self, Random};

/// A private key, its public key and its kid. It has no `Debug`; the libraries erase their copies
/// of the private key when the last owner is dropped.
pub struct Keypair {
    pub(super) private: Private,
    pub(super) public: PublicKey,
    thumbprint: String,
    kid: String,
}

pub(super) enum Private {
    /// The seed and the public key for sealing, and the same pair for signing.
    Ed25519(Box<(SigningKey, Ed25519KeyPair)>),
    P256(Arc<EcdsaKeyPair>),
    Rsa(Arc<RsaKeyPair>),
}

/// A second handle of a parsed pair; the private key is not copied.
#[derive(Clone)]
pub(super) enum SigningPair {
    Ed25519(Ed25519KeyPair),
    P256(Arc<EcdsaKeyPair>),
    Rsa(Arc<RsaKeyPair>),
}

/// The reason why a text or a seed is not a usable key.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum InvalidKey {
    #[error(
        "the file holds neither a private key in PEM (PKCS#8, PKCS#1 or SEC1) nor a private JWK"
    )]
    Unreadable,
    #[error("the key is of another type than Ed25519, P-256, and RSA with 2048 to 4096 bits")]
    OtherType,
    #[error("the private key and the public key in the file do not belong together")]
    Mismatch,
    #[error("the public part is not usable: {0}")]
    Public(#[from] InvalidPublicKey),
    #[error("a key of this type cannot be used for {0}")]
    OtherAlgorithm(Algorithm),
    #[error("a kid has 1 to 100 of the characters A-Z a-z 0-9 . _ ~ + / = : -")]
    Kid,
    #[error("the new key does not verify its own signature")]
    SelfTest,
}

/// Returns whether a text can be the kid of a key.
pub fn is_kid(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~+/=:-".contains(&b);
    (1..=100).contains(&text.len()) && text.bytes().all(is_allowed)
}

impl SigningPair {
    /// Signs a message; `None` if the library fails.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
            Self::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .ok()?;
                Some(signature)
            }
        }
    }
}

impl Keypair {
    /// Makes an `EdDSA` pair from 32 secret bytes.
    ///
    /// # Errors
    /// [`InvalidKey::SelfTest`] if the two libraries do not agree about it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        Self::ed25519(seed, Algorithm::EdDsa)
    }

    /// Generates a pair. `rsa_size` is the size of a new RSA key. An RSA key takes up to a second
    /// and is drawn from the generator of aws-lc, because its search for primes has its own.
    ///
    /// # Errors
    /// [`InvalidKey::SelfTest`] if the library fails.
    pub fn generate(
        algorithm: Algorithm,
        rsa_size: RsaSize,
        random: &dyn Random,
    ) -> Result<Self, InvalidKey> {
        match algorithm.key_type() {
            KeyType::Ed25519 => {
                let seed = Zeroizing::new(random::bytes(random));
                Self::ed25519(&seed, algorithm)
            }
            KeyType::P256 => {
                // One draw in 2^32 is not a scalar of the curve.
                for _ in 0..4 {
                    let scalar: Zeroizing<[u8; 32]> = Zeroizing::new(random::bytes(random));
                    if let Ok(pair) = Self::p256(&*scalar) {
                        return Ok(pair);
                    }
                }
                Err(InvalidKey::SelfTest)
            }
            KeyType::Rsa => {
                let size = match rsa_size {
                    RsaSize::Bits2048 => KeySize::Rsa2048,
                    RsaSize::Bits3072 => KeySize::Rsa3072,
                };
                let pair = RsaKeyPair::generate(size).map_err(|_| InvalidKey::SelfTest)?;
                Self::rsa(pair)
            }
        }
    }

    pub(super) fn ed25519(seed: &[u8; 32], algorithm: Algorithm) -> Result<Self, InvalidKey> {
        let key = SigningKey::from_bytes(seed);
        let public = key.verifying_key().to_bytes();
        let signing = Ed25519KeyPair::from_seed_and_public_key(seed, &public)
            .map_err(|_| InvalidKey::SelfTest)?;
        let public = PublicKey::ed25519(public, algorithm);
        Self::tested(Private::Ed25519(Box::new((key, signing))), public)
    }

    pub(super) fn p256(scalar: &[u8]) -> Result<Self, InvalidKey> {
        let unreadable = |_| InvalidKey::Unreadable;
        let private = P256Scalar::from_private_key(&ECDH_P256, scalar).map_err(unreadable)?;
        let point = private
            .compute_public_key()
            .map_err(|_| InvalidKey::Unreadable)?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            scalar,
            point.as_ref(),
        )
        .map_err(unreadable)?;
        Self::of_p256(pair)
    }

    pub(super) fn of_p256(pair: EcdsaKeyPair) -> Result<Self, InvalidKey> {
        let public = PublicKey::p256(pair.public_key().as_ref())?;
        Self::tested(Private::P256(Arc::new(pair)), public)
    }

    pub(super) fn rsa(pair: RsaKeyPair) -> Result<Self, InvalidKey> {
        let (n, e) = {
            let public = pair.public_key();
            let bytes = |number: aws_lc_rs::io::Positive<'_>| {
                number.big_endian_without_leading_zero().to_vec()
            };
            (bytes(public.modulus()), bytes(public.exponent()))
        };
        let public = PublicKey::rsa(&n, &e)?;
        Self::tested(Private::Rsa(Arc::new(pair)), public)
    }

    /// Tests a pair: the public key that is published must verify a signature of the private key
    /// that will sign. Every private key is loaded through this function.
    fn tested(private: Private, public: PublicKey) -> Result<Self, InvalidKey> {
        let thumbprint = public.thumbprint();
        let pair = Self {
            private,
            public,
            kid: thumbprint.clone(),
            thumbprint,
        };
        let probe = b"countersign self-test";
        match pair.signing_pair().sign(probe) {
            Some(signature) if pair.public.verify(probe, &signature) => Ok(pair),
            Some(_) | None => Err(InvalidKey::SelfTest),
        }
    }

    /// Gives the pair the kid that it had elsewhere; `import` has checked it.
    pub(super) fn named(self, kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            ..self
        }
    }

    /// Returns the id under which the key is published.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the RFC 7638 thumbprint of the public JWK.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Returns the algorithm that the pair signs by.
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// Returns the public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns a second handle of the parsed pair that signs.
    pub(super) fn signing_pair(&self) -> SigningPair {
        match &self.private {
            Private::Ed25519(pair) => SigningPair::Ed25519(pair.1.clone()),
            Private::P256(pair) => SigningPair::P256(Arc::clone(pair)),
            Private::Rsa(pair) => SigningPair::Rsa(Arc::clone(pair)),
        }
    }
}
