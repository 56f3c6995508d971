//! Ed25519 key pairs: made, imported, checked, exported. Signing tokens is `jws`'s business, hiding
//! a pair at rest `seal`'s.

use ed25519_dalek::pkcs8::{
    DecodePrivateKey, EncodePublicKey, KeypairBytes, spki::der::pem::LineEnding,
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::{decode_array, encode, jwk};

/// A private key and its kid.
pub struct Keypair {
    key: SigningKey,
    kid: String,
}

/// The text holds no usable key.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum InvalidKey {
    #[error("the file holds neither an Ed25519 private key in PKCS#8 PEM nor a private JWK")]
    Unreadable,
    #[error("the JWK's x does not belong to its d")]
    Mismatch,
    #[error("the new key does not verify its own signature")]
    SelfTest,
}

impl Keypair {
    /// A key from 32 random bytes, checked by signing and strict verification.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = SigningKey::from_bytes(seed);
        let probe = b"countersign self-test";
        let signature = key.sign(probe);
        key.verifying_key()
            .verify_strict(probe, &signature)
            .map_err(|_| InvalidKey::SelfTest)?;
        let kid = jwk::thumbprint(&key.verifying_key().to_bytes());
        Ok(Self { key, kid })
    }

    /// Reads a PKCS#8 PEM or a private JWK.
    pub fn import(text: &str) -> Result<Self, InvalidKey> {
        if let Ok(key) = SigningKey::from_pkcs8_pem(text.trim()) {
            return Self::from_seed(key.as_bytes());
        }
        let jwk: serde_json::Value =
            serde_json::from_str(text).map_err(|_| InvalidKey::Unreadable)?;
        let member = |name: &str| jwk.get(name).and_then(serde_json::Value::as_str);
        if member("kty") != Some("OKP") || member("crv") != Some("Ed25519") {
            return Err(InvalidKey::Unreadable);
        }
        let seed = Zeroizing::new(
            member("d")
                .and_then(decode_array::<32>)
                .ok_or(InvalidKey::Unreadable)?,
        );
        let pair = Self::from_seed(&seed)?;
        let stated = member("x")
            .and_then(decode_array::<32>)
            .ok_or(InvalidKey::Unreadable)?;
        if stated == pair.public() {
            Ok(pair)
        } else {
            Err(InvalidKey::Mismatch)
        }
    }

    /// RFC 7638 thumbprint of the public JWK.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key's 32 bytes.
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The private JWK, to be sealed and nothing else.
    pub(super) fn private_jwk(&self) -> Zeroizing<String> {
        let d = Zeroizing::new(encode(self.key.as_bytes()));
        Zeroizing::new(format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{}","d":"{}"}}"#,
            encode(&self.public()),
            &*d
        ))
    }

    /// PKCS#8 version 1 (seed alone), the only form that jsonwebtoken signs with and can also read
    /// back.
    pub(super) fn to_pkcs8_v1(&self) -> Zeroizing<Vec<u8>> {
        use ed25519_dalek::pkcs8::EncodePrivateKey;
        let bytes = KeypairBytes {
            secret_key: *self.key.as_bytes(),
            public_key: None,
        };
        let der = bytes.to_pkcs8_der().expect("32 bytes always encode");
        Zeroizing::new(der.as_bytes().to_vec())
    }
}

/// A public key as a PEM, for `keys export --format pem`.
pub fn public_pem(public: &[u8; 32]) -> Option<String> {
    VerifyingKey::from_bytes(public)
        .ok()?
        .to_public_key_pem(LineEnding::LF)
        .ok()
}

/// RFC 8032 verification that also refuses small-order keys and loose encodings.
pub fn verify_strict(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (
        VerifyingKey::from_bytes(public),
        Signature::from_slice(signature),
    ) else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::pkcs8::EncodePrivateKey;

    #[test]
    fn imports_what_it_and_others_export() {
        let pair = Keypair::from_seed(&[5; 32]).unwrap();
        let pem = SigningKey::from_bytes(&[5; 32])
            .to_pkcs8_pem(LineEnding::LF)
            .unwrap();
        assert_eq!(Keypair::import(&pem).unwrap().kid(), pair.kid());
        assert_eq!(
            Keypair::import(&pair.private_jwk()).unwrap().kid(),
            pair.kid()
        );
        let swapped = pair
            .private_jwk()
            .replace(&encode(&pair.public()), &encode(&[9; 32]));
        assert!(matches!(
            Keypair::import(&swapped),
            Err(InvalidKey::Mismatch)
        ));
        for text in [
            "",
            "{}",
            "-----BEGIN PRIVATE KEY-----",
            r#"{"kty":"OKP","crv":"Ed25519","d":"AA"}"#,
        ] {
            assert!(Keypair::import(text).is_err(), "{text}");
        }
    }
}
