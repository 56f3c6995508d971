//! Ed25519 key pairs: generated, imported, checked, exported. `jws` signs tokens with them, `seal`
//! encrypts them at rest.

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::{decode_array, encode, jwk};

/// A private key and its kid. It has no `Debug`; both libraries erase their copy of the private
/// key when it is dropped.
pub struct Keypair {
    /// The seed and the public key, for import and export.
    key: SigningKey,
    /// The same pair, parsed by aws-lc-rs, for signing.
    signing: Ed25519KeyPair,
    kid: String,
}

/// The reason why a text or a seed is not a usable key.
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
    /// Makes a pair from 32 secret bytes and tests it: aws-lc-rs, which will sign the tokens, must
    /// derive the same public key as ed25519-dalek, and its signature of a probe must pass
    /// ed25519-dalek's strict verification. Every private key is loaded through this function.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = SigningKey::from_bytes(seed);
        let public = key.verifying_key().to_bytes();
        let signing = Ed25519KeyPair::from_seed_and_public_key(seed, &public)
            .map_err(|_| InvalidKey::SelfTest)?;
        let probe = b"countersign self-test";
        let signature = signing.try_sign(probe).map_err(|_| InvalidKey::SelfTest)?;
        if !verify_strict(&public, probe, signature.as_ref()) {
            return Err(InvalidKey::SelfTest);
        }
        let kid = jwk::thumbprint(&public);
        Ok(Self { key, signing, kid })
    }

    /// Parses a PKCS#8 PEM or a private JWK.
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

    /// Returns the RFC 7638 thumbprint of the public JWK.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the public key's 32 bytes.
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Builds the private JWK, which is only ever encrypted (`seal`).
    pub(super) fn private_jwk(&self) -> Zeroizing<String> {
        let d = Zeroizing::new(encode(self.key.as_bytes()));
        Zeroizing::new(format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{}","d":"{}"}}"#,
            encode(&self.public()),
            &*d
        ))
    }

    /// Returns a second handle of the parsed pair that signs; the private key is not copied.
    pub(super) fn signing_pair(&self) -> Ed25519KeyPair {
        self.signing.clone()
    }
}

/// Encodes a public key as PEM, for `keys export --format pem`.
pub fn public_pem(public: &[u8; 32]) -> Option<String> {
    VerifyingKey::from_bytes(public)
        .ok()?
        .to_public_key_pem(LineEnding::LF)
        .ok()
}

/// Verifies a signature by RFC 8032, and also refuses small-order keys and non-canonical encodings.
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

    #[test]
    fn a_jwk_of_another_type_or_curve_is_refused_whatever_its_members_are() {
        let jwk = |kty: &str, crv: &str| {
            let pair = Keypair::from_seed(&[5; 32]).unwrap();
            let good = pair.private_jwk();
            let text = good.replace("\"OKP\"", &format!("\"{kty}\""));
            text.replace("\"Ed25519\"", &format!("\"{crv}\""))
        };
        assert!(Keypair::import(&jwk("OKP", "Ed25519")).is_ok());
        for (kty, crv) in [("EC", "Ed25519"), ("OKP", "X25519"), ("EC", "P-256")] {
            let refused = Keypair::import(&jwk(kty, crv));
            assert!(
                matches!(refused, Err(InvalidKey::Unreadable)),
                "{kty} {crv}"
            );
        }
    }

    /// The key of RFC 8037 appendix A.2 as a SubjectPublicKeyInfo (RFC 8410 section 4).
    #[test]
    fn a_public_key_has_the_pem_that_other_programs_read() {
        let pair = Keypair::import(
            r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        )
        .unwrap();
        let pem = public_pem(&pair.public()).unwrap();
        assert_eq!(
            pem,
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
        );
    }

    #[test]
    fn a_signature_of_another_message_key_or_length_is_refused() {
        let pair = Keypair::from_seed(&[5; 32]).unwrap();
        let signature = pair.signing_pair().sign(b"message");
        let good = signature.as_ref();
        assert!(verify_strict(&pair.public(), b"message", good));
        assert!(!verify_strict(&pair.public(), b"massage", good));
        assert!(!verify_strict(&pair.public(), b"message", &good[..63]));
        let other = Keypair::from_seed(&[6; 32]).unwrap();
        assert!(!verify_strict(&other.public(), b"message", good));
        // A key of small order, for which a signature of zeros passes the loose verification of
        // every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut zeros = [0; 64];
        zeros[0] = 1;
        assert!(!verify_strict(&neutral, b"message", &zeros));
    }
}
