//! Public keys of the four algorithms: read from a JWK, checked, written as a JWK (RFC 7517) or PEM,
//! and used to verify. Only the members that are named here are ever published: `null`, `key_ops`
//! and foreign members each break some verifier.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use der::pem::{self, LineEnding};
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::{Signature, VerifyingKey};
use josekit::jwk::Jwk;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

use super::{decode, decode_array, encode, sha256};
use crate::model::key::algorithm::{Algorithm, KeyType};

/// The public exponent of every RSA key here, 65537. Other exponents are valid and rare, and some
/// verifiers refuse them.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
/// The lengths of an RSA modulus that are accepted, in bytes: 2048 to 4096 bits.
const RSA_LENGTHS: std::ops::RangeInclusive<usize> = 256..=512;
/// The length of a coordinate on P-256, in bytes.
const COORDINATE: usize = 32;

/// A public key and the algorithm that it verifies by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Ed25519([u8; 32]),
    /// The uncompressed point: 4, x, y.
    P256([u8; 1 + 2 * COORDINATE]),
    /// The modulus, without leading zeros; the exponent is 65537.
    Rsa(Vec<u8>),
}

/// The reason why a JWK is not a usable public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum InvalidPublicKey {
    #[error("it is not a JWK with the members kty, and crv x, crv x y or n e")]
    Malformed,
    #[error("it is of another type than OKP with Ed25519, EC with P-256, and RSA")]
    OtherType,
    #[error(
        "its alg is another one than EdDSA, Ed25519, ES256 and RS256, or does not belong to its type"
    )]
    OtherAlgorithm,
    #[error("its use is not sig")]
    OtherUse,
    #[error("an RSA key has 2048 to 4096 bits and the exponent 65537")]
    WeakRsa,
    #[error("its point is not on the curve")]
    NotOnCurve,
}

impl PublicKey {
    /// Wraps an Ed25519 public key for one of its two algorithms; an ECDSA or RSA algorithm is
    /// replaced by `EdDSA`.
    pub(super) fn ed25519(public: [u8; 32], algorithm: Algorithm) -> Self {
        let algorithm = match algorithm {
            Algorithm::Ed25519 => Algorithm::Ed25519,
            Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Rs256 => Algorithm::EdDsa,
        };
        Self {
            algorithm,
            material: Material::Ed25519(public),
        }
    }

    /// Wraps an uncompressed point on P-256.
    pub(super) fn p256(point: &[u8]) -> Result<Self, InvalidPublicKey> {
        let point: [u8; 65] = point.try_into().map_err(|_| InvalidPublicKey::Malformed)?;
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .map_err(|_| InvalidPublicKey::NotOnCurve)?;
        Ok(Self {
            algorithm: Algorithm::Es256,
            material: Material::P256(point),
        })
    }

    /// Wraps an RSA modulus and exponent, both big-endian without leading zeros.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, InvalidPublicKey> {
        // With the top bit, the bytes count the bits.
        let is_whole = n.first().is_some_and(|first| *first >= 0x80);
        if !is_whole || !RSA_LENGTHS.contains(&n.len()) || e != RSA_EXPONENT {
            return Err(InvalidPublicKey::WeakRsa);
        }
        Ok(Self {
            algorithm: Algorithm::Rs256,
            material: Material::Rsa(n.to_owned()),
        })
    }

    /// Reads a public JWK. `algorithm` is what it is used for, which must not contradict the JWK's
    /// `alg`; without either, the type decides.
    ///
    /// # Errors
    /// See [`InvalidPublicKey`].
    pub fn from_jwk(jwk: &Value, algorithm: Option<Algorithm>) -> Result<Self, InvalidPublicKey> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| {
            member(name)
                .and_then(decode)
                .ok_or(InvalidPublicKey::Malformed)
        };
        if member("use").is_some_and(|used| used != "sig") {
            return Err(InvalidPublicKey::OtherUse);
        }
        let stated = match member("alg") {
            Some(text) => Some(text.parse().map_err(|_| InvalidPublicKey::OtherAlgorithm)?),
            None => None,
        };
        if algorithm
            .zip(stated)
            .is_some_and(|(one, other)| one != other)
        {
            return Err(InvalidPublicKey::OtherAlgorithm);
        }
        let algorithm = algorithm.or(stated);
        let key = match (member("kty"), member("crv")) {
            (Some("OKP"), Some("Ed25519")) => {
                let x = member("x").and_then(decode_array::<32>);
                let x = x.ok_or(InvalidPublicKey::Malformed)?;
                let is_good = VerifyingKey::from_bytes(&x).is_ok_and(|key| !key.is_weak());
                if !is_good {
                    return Err(InvalidPublicKey::NotOnCurve);
                }
                Self::ed25519(x, algorithm.unwrap_or(Algorithm::EdDsa))
            }
            (Some("EC"), Some("P-256")) => {
                Self::p256(&[vec![4], bytes("x")?, bytes("y")?].concat())?
            }
            (Some("RSA"), _) => Self::rsa(&bytes("n")?, &bytes("e")?)?,
            (Some(_), _) => return Err(InvalidPublicKey::OtherType),
            (None, _) => return Err(InvalidPublicKey::Malformed),
        };
        if algorithm.is_some_and(|wanted| wanted != key.algorithm) {
            return Err(InvalidPublicKey::OtherAlgorithm);
        }
        Ok(key)
    }

    /// Returns the key of a stored JWK if it is of this algorithm and has this thumbprint.
    pub fn stored(jwk: &str, algorithm: Algorithm, thumbprint: &str) -> Option<Self> {
        let jwk: Value = serde_json::from_str(jwk).ok()?;
        let key = Self::from_jwk(&jwk, Some(algorithm)).ok()?;
        (key.thumbprint() == thumbprint).then_some(key)
    }

    /// Returns the algorithm that the key verifies by.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the members that tell the key from others, in lexical order.
    fn members(&self) -> Vec<(&'static str, String)> {
        match &self.material {
            Material::Ed25519(x) => vec![
                ("crv", "Ed25519".into()),
                ("kty", "OKP".into()),
                ("x", encode(x)),
            ],
            Material::P256(point) => vec![
                ("crv", "P-256".into()),
                ("kty", "EC".into()),
                ("x", encode(&point[1..=COORDINATE])),
                ("y", encode(&point[1 + COORDINATE..])),
            ],
            Material::Rsa(n) => vec![
                ("e", encode(&RSA_EXPONENT)),
                ("kty", "RSA".into()),
                ("n", encode(n)),
            ],
        }
    }

    /// Returns the RFC 7638 thumbprint: SHA-256 of the required members in lexical order.
    pub fn thumbprint(&self) -> String {
        let members: Vec<String> = self
            .members()
            .iter()
            .map(|(name, value)| format!(r#""{name}":"{value}""#))
            .collect();
        encode(&sha256(format!("{{{}}}", members.join(",")).as_bytes()))
    }

    /// Returns the public JWK: exactly the members of its type, then `use`, `alg` and `kid`.
    pub fn jwk(&self, kid: &str) -> Jwk {
        let members = self.members();
        let of = |name: &str| {
            let found = members.iter().find(|(member, _)| *member == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let (kty, named): (&str, &[&str]) = match self.algorithm.key_type() {
            KeyType::Ed25519 => ("OKP", &["crv", "x"]),
            KeyType::P256 => ("EC", &["crv", "x", "y"]),
            KeyType::Rsa => ("RSA", &["n", "e"]),
        };
        let mut jwk = Jwk::new(kty);
        for name in named {
            jwk.set_parameter(name, Some(json!(of(name))))
                .expect("the member is a string");
        }
        jwk.set_key_use("sig");
        jwk.set_algorithm(self.algorithm.as_str());
        jwk.set_key_id(kid);
        jwk
    }

    /// Encodes the key as SubjectPublicKeyInfo PEM (RFC 5280), for `keys export --format pem`.
    pub fn pem(&self) -> Option<String> {
        let der = match &self.material {
            Material::Ed25519(public) => {
                let key = VerifyingKey::from_bytes(public).ok()?;
                return key.to_public_key_pem(LineEnding::LF).ok();
            }
            Material::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .ok()?
                .as_der()
                .ok()?,
            Material::Rsa(n) => components(n).as_der().ok()?,
        };
        pem::encode_string("PUBLIC KEY", LineEnding::LF, der.as_ref()).ok()
    }

    /// Returns the key in the form of the library that verifies tokens.
    pub(super) fn decoding_key(&self) -> DecodingKey {
        match &self.material {
            Material::Ed25519(public) => DecodingKey::from_ed_der(public),
            Material::P256(point) => DecodingKey::from_ec_der(point),
            Material::Rsa(n) => DecodingKey::from_rsa_raw_components(n, &RSA_EXPONENT),
        }
    }

    /// Returns the length of a signature of this key, in bytes. Every other length is refused before
    /// any arithmetic.
    pub fn signature_length(&self) -> usize {
        match &self.material {
            Material::Ed25519(_) | Material::P256(_) => 64,
            Material::Rsa(n) => n.len(),
        }
    }

    /// Verifies a signature. For Ed25519 by RFC 8032, and small-order keys and non-canonical
    /// encodings are refused too; for ES256 the signature is r and s of 32 bytes each.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        if signature.len() != self.signature_length() {
            return false;
        }
        match &self.material {
            Material::Ed25519(public) => {
                let (Ok(key), Ok(signature)) = (
                    VerifyingKey::from_bytes(public),
                    Signature::from_slice(signature),
                ) else {
                    return false;
                };
                key.verify_strict(message, &signature).is_ok()
            }
            Material::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .is_ok_and(|key| key.verify_sig(message, signature).is_ok()),
            Material::Rsa(n) => components(n)
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}

fn components(n: &[u8]) -> PublicKeyComponents<&[u8]> {
    PublicKeyComponents {
        n,
        e: RSA_EXPONENT.as_slice(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::import::Stated;
    use crate::crypto::jwk::jwk_set;
    use crate::crypto::keypair::Keypair;
    use crate::model::key::algorithm::RsaSize;
    use crate::random::SeededRandom;
    use josekit::jws::{ES256, JwsVerifier, RS256};

    fn rfc8037() -> PublicKey {
        let public = decode_array::<32>("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        PublicKey::ed25519(public, Algorithm::EdDsa)
    }

    fn make(algorithm: Algorithm) -> Keypair {
        let random = SeededRandom::new(21);
        Keypair::generate(algorithm, RsaSize::Bits2048, &random).unwrap()
    }

    #[test]
    fn thumbprint_is_that_of_rfc_8037_appendix_a3() {
        let public = rfc8037();
        assert_eq!(
            public.thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        assert_eq!(
            String::from_utf8(jwk_set([(public.thumbprint().as_str(), &public)])).unwrap(),
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}]}"#
        );
    }

    /// The key of RFC 7638 section 3.1.
    #[test]
    fn thumbprint_is_that_of_rfc_7638() {
        let jwk = json!({ "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29", "n":
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw" });
        let public = PublicKey::from_jwk(&jwk, None).unwrap();
        assert_eq!(public.algorithm(), Algorithm::Rs256);
        assert_eq!(
            public.thumbprint(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn a_jwk_has_the_members_of_its_type_in_one_order_and_no_other() {
        for (algorithm, members) in [
            (Algorithm::EdDsa, &["kty", "crv", "x"][..]),
            (Algorithm::Ed25519, &["kty", "crv", "x"]),
            (Algorithm::Es256, &["kty", "crv", "x", "y"]),
            (Algorithm::Rs256, &["kty", "n", "e"]),
        ] {
            let jwk = make(algorithm).public().jwk("k");
            let found: Vec<&str> = jwk.as_ref().keys().map(String::as_str).collect();
            assert_eq!(found, [members, &["use", "alg", "kid"]].concat());
            assert_eq!(jwk.algorithm(), Some(algorithm.as_str()));
        }
    }

    /// Of random keys, one in 256 has a coordinate that begins with a zero byte, which stays.
    #[test]
    fn coordinates_keep_their_leading_zeros() {
        let random = SeededRandom::new(1);
        let points = std::iter::repeat_with(|| {
            Keypair::generate(Algorithm::Es256, RsaSize::Bits2048, &random).unwrap()
        });
        let with_zero = points.take(2_000).find(|pair| {
            matches!(&pair.public().material, Material::P256(point) if point[1] == 0 || point[33] == 0)
        });
        let public = with_zero.unwrap().public().clone();
        let jwk = public.jwk("k");
        for name in ["x", "y"] {
            assert_eq!(jwk.parameter(name).unwrap().as_str().unwrap().len(), 43);
        }
        let read = PublicKey::from_jwk(&json!(jwk.as_ref()), None).unwrap();
        assert_eq!(read, public);
    }

    #[test]
    fn a_stored_key_reads_back_under_its_own_name_and_algorithm_alone() {
        for algorithm in Algorithm::ALL {
            let public = make(algorithm).public().clone();
            let stored = public.jwk("any").to_string();
            let thumbprint = public.thumbprint();
            for other in Algorithm::ALL {
                let read = PublicKey::stored(&stored, other, &thumbprint);
                assert_eq!(read.is_some(), other == algorithm, "{algorithm} as {other}");
            }
            assert_eq!(PublicKey::stored(&stored, algorithm, "another"), None);
        }
        let other_curve = rfc8037().jwk("k").to_string().replace("Ed25519", "X25519");
        let thumbprint = rfc8037().thumbprint();
        for odd in [
            "",
            "{}",
            r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#,
            &other_curve,
        ] {
            let read = PublicKey::stored(odd, Algorithm::EdDsa, &thumbprint);
            assert_eq!(read, None, "{odd}");
        }
    }

    #[test]
    fn unusable_public_keys_are_refused_with_the_reason() {
        use InvalidPublicKey as E;
        let good = |algorithm: Algorithm| json!(make(algorithm).public().jwk("k").as_ref());
        let with = |mut jwk: Value, name: &str, value: &str| {
            jwk[name] = value.into();
            jwk
        };
        let ec = good(Algorithm::Es256);
        let x = ec["x"].as_str().unwrap().to_owned();
        let rsa = good(Algorithm::Rs256);
        let n = decode(rsa["n"].as_str().unwrap()).unwrap();
        let padded = encode(&[&[0], &n[..]].concat());
        for (jwk, reason) in [
            (json!({}), E::Malformed),
            (json!([]), E::Malformed),
            (with(ec.clone(), "crv", "P-384"), E::OtherType),
            (with(ec.clone(), "y", &x), E::NotOnCurve),
            (with(ec.clone(), "x", "AA"), E::Malformed),
            (with(ec.clone(), "alg", "ES384"), E::OtherAlgorithm),
            (with(ec.clone(), "alg", "RS256"), E::OtherAlgorithm),
            (with(ec, "use", "enc"), E::OtherUse),
            (with(rsa.clone(), "e", "Aw"), E::WeakRsa),
            (with(rsa.clone(), "n", &encode(&n[..255])), E::WeakRsa),
            (with(rsa.clone(), "n", &padded), E::WeakRsa),
            (with(rsa, "alg", "RSA-OAEP"), E::OtherAlgorithm),
            (json!({ "kty": "oct", "k": "AAAA" }), E::OtherType),
            // The neutral point, for which a signature of zeros passes every loose verification.
            (
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&[&[1][..], &[0; 31]].concat()) }),
                E::NotOnCurve,
            ),
        ] {
            assert_eq!(PublicKey::from_jwk(&jwk, None), Err(reason), "{jwk}");
        }
    }

    /// The key of RFC 8037 appendix A.2 as a SubjectPublicKeyInfo (RFC 8410 section 4).
    #[test]
    fn a_public_key_has_the_pem_that_other_programs_read() {
        assert_eq!(
            rfc8037().pem().unwrap(),
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
        );
        // OpenSSL reads the others and verifies with them.
        let (ec, rsa) = (make(Algorithm::Es256), make(Algorithm::Rs256));
        let pem = |pair: &Keypair| pair.public().pem().unwrap();
        let verifiers: [(_, Box<dyn JwsVerifier>); 2] = [
            (&ec, Box::new(ES256.verifier_from_pem(pem(&ec)).unwrap())),
            (&rsa, Box::new(RS256.verifier_from_pem(pem(&rsa)).unwrap())),
        ];
        for (pair, verifier) in verifiers {
            let signature = pair.signing_pair().sign(b"message").unwrap();
            assert!(verifier.verify(b"message", &signature).is_ok());
        }
    }

    #[test]
    fn a_signature_of_another_message_key_or_length_is_refused() {
        for algorithm in Algorithm::ALL {
            let pair = make(algorithm);
            let signature = pair.signing_pair().sign(b"message").unwrap();
            assert!(pair.public().verify(b"message", &signature));
            assert!(!pair.public().verify(b"massage", &signature));
            let short = &signature[..signature.len() - 1];
            assert!(!pair.public().verify(b"message", short));
            let text = make(algorithm).private_jwk().unwrap();
            let again = Keypair::import(&text, &Stated::default()).unwrap();
            let is_other = again.public() != pair.public();
            assert_eq!(!again.public().verify(b"message", &signature), is_other);
        }
        // A key of small order, for which a signature of zeros passes the loose verification of
        // every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut zeros = [0; 64];
        zeros[0] = 1;
        let neutral = PublicKey::ed25519(neutral, Algorithm::EdDsa);
        assert!(!neutral.verify(b"message", &zeros));
    }
}
