//! Private keys in the files of other programs, and in our own sealed ones: PEM (PKCS#8, PKCS#1, SEC1)
//! and JWK (RFC 7517). What the file says about its use must not contradict what is asked for.

use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use der::SecretDocument;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::keypair::{InvalidKey, Keypair, is_kid};
use super::public_key::InvalidPublicKey;
use super::{decode, decode_array};
use crate::model::key::algorithm::Algorithm;

/// What an import may state about a key besides its material.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    /// The algorithm that it is used for; otherwise the JWK's `alg`, then the type of the key.
    pub algorithm: Option<Algorithm>,
    /// The kid that it had elsewhere; otherwise that of the JWK, then the thumbprint.
    pub kid: Option<String>,
}

/// A private JWK as it is read; the private members are erased when it is dropped.
#[derive(Deserialize)]
struct PrivateJwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<Secret>,
    p: Option<Secret>,
    q: Option<Secret>,
    dp: Option<Secret>,
    dq: Option<Secret>,
    qi: Option<Secret>,
}

/// A private member of a JWK.
struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl Keypair {
    /// Parses a private key: PKCS#8, PKCS#1 or SEC1 PEM, or a private JWK.
    ///
    /// # Errors
    /// See [`InvalidKey`].
    pub fn import(text: &str, stated: &Stated) -> Result<Self, InvalidKey> {
        let jwk: Option<PrivateJwk> = serde_json::from_str(text).ok();
        let named = jwk.as_ref().and_then(|jwk| jwk.alg.as_deref());
        let named = named.map(str::parse).transpose();
        let named = named.map_err(|_| InvalidPublicKey::OtherAlgorithm)?;
        // A key that is used by one algorithm elsewhere does not get a second one here.
        let algorithm = match (stated.algorithm, named) {
            (Some(stated), Some(named)) if stated != named => {
                return Err(InvalidKey::OtherAlgorithm(stated));
            }
            (stated, named) => stated.or(named),
        };
        let pair = match &jwk {
            Some(jwk) => Self::from_jwk(jwk, algorithm)?,
            None => Self::from_pem(text, algorithm)?,
        };
        if let Some(wanted) = algorithm.filter(|wanted| *wanted != pair.algorithm()) {
            return Err(InvalidKey::OtherAlgorithm(wanted));
        }
        let own_kid = jwk.as_ref().and_then(|jwk| jwk.kid.as_deref());
        match stated.kid.as_deref().or(own_kid) {
            None => Ok(pair),
            Some(kid) if is_kid(kid) => Ok(pair.named(kid)),
            Some(_) => Err(InvalidKey::Kid),
        }
    }

    fn from_pem(text: &str, algorithm: Option<Algorithm>) -> Result<Self, InvalidKey> {
        let block = private_block(text).ok_or(InvalidKey::Unreadable)?;
        if let Ok(key) = SigningKey::from_pkcs8_pem(block) {
            let algorithm = algorithm.unwrap_or(Algorithm::EdDsa);
            return Self::ed25519(key.as_bytes(), algorithm);
        }
        let (label, der) = SecretDocument::from_pem(block).map_err(|_| InvalidKey::Unreadable)?;
        let der = der.as_bytes();
        let rsa = |pair: Result<RsaKeyPair, _>| pair.ok().map(Self::rsa);
        let p256 = || {
            let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
            pair.ok().map(Self::of_p256)
        };
        match label {
            "RSA PRIVATE KEY" => rsa(RsaKeyPair::from_der(der)),
            "EC PRIVATE KEY" => p256(),
            "PRIVATE KEY" => rsa(RsaKeyPair::from_pkcs8(der)).or_else(p256),
            _ => return Err(InvalidKey::Unreadable),
        }
        .unwrap_or(Err(InvalidKey::OtherType))
    }

    fn from_jwk(jwk: &PrivateJwk, algorithm: Option<Algorithm>) -> Result<Self, InvalidKey> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err(InvalidPublicKey::OtherUse.into());
        }
        let secret = |text: &Option<Secret>| {
            let bytes = text.as_ref().and_then(|text| decode(&text.0));
            bytes.map(Zeroizing::new).ok_or(InvalidKey::Unreadable)
        };
        let public = |text: &Option<String>| {
            let bytes = text.as_deref().and_then(decode);
            bytes.map(Zeroizing::new).ok_or(InvalidKey::Unreadable)
        };
        let pair = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => {
                let seed = jwk.d.as_ref().and_then(|d| decode_array::<32>(&d.0));
                let seed = Zeroizing::new(seed.ok_or(InvalidKey::Unreadable)?);
                Self::ed25519(&seed, algorithm.unwrap_or(Algorithm::EdDsa))?
            }
            ("EC", Some("P-256")) => Self::p256(&secret(&jwk.d)?)?,
            ("RSA", None) => {
                let components = KeyPairComponents {
                    public_key: PublicKeyComponents {
                        n: public(&jwk.n)?,
                        e: public(&jwk.e)?,
                    },
                    d: secret(&jwk.d)?,
                    p: secret(&jwk.p)?,
                    q: secret(&jwk.q)?,
                    dP: secret(&jwk.dp)?,
                    dQ: secret(&jwk.dq)?,
                    qInv: secret(&jwk.qi)?,
                };
                let pair = RsaKeyPair::from_components(&components);
                Self::rsa(pair.map_err(|_| InvalidKey::Mismatch)?)?
            }
            _ => return Err(InvalidKey::OtherType),
        };
        // The public members must be there, and be those of the private key.
        let own = pair.public.jwk("");
        let members = [("x", &jwk.x), ("y", &jwk.y), ("n", &jwk.n), ("e", &jwk.e)];
        let belongs = members.into_iter().all(|(name, stated)| {
            let own = own.parameter(name).and_then(Value::as_str);
            own.is_none() || own == stated.as_deref()
        });
        if belongs {
            Ok(pair)
        } else {
            Err(InvalidKey::Mismatch)
        }
    }
}

/// Returns the PEM block of the private key. A file may have the parameters of the curve before it,
/// and certificates behind it.
fn private_block(text: &str) -> Option<&str> {
    let begins = text.match_indices("-----BEGIN ").map(|(at, _)| at);
    let private = begins.filter_map(|at| text.get(at..)).find(|block| {
        block
            .lines()
            .next()
            .is_some_and(|line| line.contains("PRIVATE KEY-----"))
    })?;
    let end = private.find("-----END ")?;
    let line_end = private
        .get(end..)?
        .find('\n')
        .unwrap_or(private.len() - end);
    Some(private.get(..end + line_end)?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keypair::Private;
    use crate::crypto::public_key::PublicKey;
    use crate::model::key::algorithm::RsaSize;
    use crate::random::SeededRandom;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::KeyPair as _;
    use der::Decode;
    use der::pem::{LineEnding, encode_string};
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    use ed25519_dalek::pkcs8::PrivateKeyInfoRef;

    fn import(text: &str) -> Result<Keypair, InvalidKey> {
        Keypair::import(text, &Stated::default())
    }

    fn make(algorithm: Algorithm) -> Keypair {
        let random = SeededRandom::new(11);
        Keypair::generate(algorithm, RsaSize::Bits2048, &random).unwrap()
    }

    #[test]
    fn imports_what_it_and_others_export() {
        let pair = Keypair::from_seed(&[5; 32]).unwrap();
        let pem = SigningKey::from_bytes(&[5; 32])
            .to_pkcs8_pem(LineEnding::LF)
            .unwrap();
        assert_eq!(import(&pem).unwrap().kid(), pair.kid());
        for algorithm in Algorithm::ALL {
            let pair = make(algorithm);
            let jwk = pair.private_jwk().unwrap();
            let again = import(&jwk).unwrap();
            assert_eq!(again.public(), pair.public());
            assert_eq!(again.private_jwk().unwrap(), jwk);
        }
        for text in [
            "",
            "{}",
            "-----BEGIN PRIVATE KEY-----",
            r#"{"kty":"OKP","crv":"Ed25519","d":"AA"}"#,
            r#"{"kty":"oct","k":"AAAA"}"#,
        ] {
            assert!(import(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_pem_files_of_openssl_are_read() {
        let Private::P256(pair) = make(Algorithm::Es256).private else {
            unreachable!("an ES256 pair is on P-256")
        };
        let pem = |label: &str, der: &[u8]| encode_string(label, LineEnding::LF, der).unwrap();
        let sec1: aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_> =
            pair.private_key().as_der().unwrap();
        let kid = PublicKey::p256(pair.public_key().as_ref())
            .unwrap()
            .thumbprint();
        let pkcs8 = pair.to_pkcs8v1().unwrap();
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        for text in [
            pem("EC PRIVATE KEY", sec1.as_ref()),
            format!("{parameters}{}", pem("EC PRIVATE KEY", sec1.as_ref())),
            pem("EC PRIVATE KEY", sec1.as_ref()) + &pem("CERTIFICATE", b"\x30\x00"),
            pem("PRIVATE KEY", pkcs8.as_ref()),
        ] {
            assert_eq!(import(&text).unwrap().kid(), kid);
        }
        let Private::Rsa(pair) = make(Algorithm::Rs256).private else {
            unreachable!("an RS256 pair is RSA")
        };
        let pkcs8 = pair.as_der().unwrap();
        let info = PrivateKeyInfoRef::from_der(pkcs8.as_ref()).unwrap();
        let pkcs1 = info.private_key.as_bytes();
        for text in [
            pem("PRIVATE KEY", pkcs8.as_ref()),
            pem("RSA PRIVATE KEY", pkcs1),
        ] {
            assert_eq!(import(&text).unwrap().algorithm(), Algorithm::Rs256);
        }
        assert!(import(&pem("EC PRIVATE KEY", pkcs1)).is_err());
        assert!(import(&pem("CERTIFICATE", pkcs1)).is_err());
    }

    #[test]
    fn weak_and_foreign_keys_are_refused() {
        // OpenSSL still makes them.
        let small = josekit::jwk::alg::rsa::RsaKeyPair::generate(1024).unwrap();
        for pem in [
            small.to_pem_private_key(),
            small.to_traditional_pem_private_key(),
        ] {
            let pem = String::from_utf8(pem).unwrap();
            assert!(import(&pem).is_err(), "{pem}");
        }
        assert!(import(&make(Algorithm::Rs256).private_jwk().unwrap()).is_ok());
        let p384 = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING);
        let der = p384.unwrap().to_pkcs8v1().unwrap();
        let pem = encode_string("PRIVATE KEY", LineEnding::LF, der.as_ref()).unwrap();
        assert!(matches!(import(&pem), Err(InvalidKey::OtherType)));
    }

    #[test]
    fn a_jwk_whose_halves_do_not_belong_together_is_refused() {
        for algorithm in Algorithm::ALL {
            let text = make(algorithm).private_jwk().unwrap();
            assert!(import(&text).is_ok());
            let mut jwk: Value = serde_json::from_str(&text).unwrap();
            let random = SeededRandom::new(12);
            let stranger = Keypair::generate(algorithm, RsaSize::Bits2048, &random).unwrap();
            let public = stranger.public().jwk("");
            for name in ["x", "n"] {
                if let Some(value) = public.parameter(name) {
                    jwk[name] = value.clone();
                }
            }
            assert!(import(&jwk.to_string()).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn the_algorithm_and_the_kid_are_what_the_operator_says_if_the_key_fits() {
        let stated = |algorithm, kid: Option<&str>| Stated {
            algorithm,
            kid: kid.map(Into::into),
        };
        let text = Keypair::from_seed(&[5; 32]).unwrap().private_jwk().unwrap();
        let pair = Keypair::import(&text, &stated(Some(Algorithm::Ed25519), None)).unwrap();
        assert_eq!(pair.algorithm(), Algorithm::Ed25519);
        assert_eq!(pair.kid(), pair.thumbprint());
        // A JWK that says by which algorithm it is used elsewhere gets no second one.
        let text_of = |alg: &str| text.replace('}', &format!(r#","alg":"{alg}"}}"#));
        for (alg, wanted, is_good) in [
            ("EdDSA", Algorithm::EdDsa, true),
            ("EdDSA", Algorithm::Ed25519, false),
            ("Ed25519", Algorithm::Ed25519, true),
            ("PS256", Algorithm::EdDsa, false),
        ] {
            let imported = Keypair::import(&text_of(alg), &stated(Some(wanted), None));
            assert_eq!(imported.is_ok(), is_good, "{alg} {wanted}");
        }
        let for_encryption = text.replace('}', r#","use":"enc"}"#);
        assert!(Keypair::import(&for_encryption, &stated(None, None)).is_err());
        let refused = Keypair::import(&text, &stated(Some(Algorithm::Rs256), None));
        assert!(matches!(
            refused,
            Err(InvalidKey::OtherAlgorithm(Algorithm::Rs256))
        ));
        let named = Keypair::import(&text, &stated(None, Some("auth0-2024"))).unwrap();
        assert_eq!(named.kid(), "auth0-2024");
        assert_eq!(named.thumbprint(), pair.thumbprint());
        for kid in ["", "a b", "a\"b", &"k".repeat(101)] {
            let refused = Keypair::import(&text, &stated(None, Some(kid)));
            assert!(matches!(refused, Err(InvalidKey::Kid)), "{kid:?}");
        }
    }

    #[test]
    fn a_jwk_of_another_type_or_curve_is_refused_whatever_its_members_are() {
        let jwk = |kty: &str, crv: &str| {
            let pair = Keypair::from_seed(&[5; 32]).unwrap();
            let good = pair.private_jwk().unwrap();
            let text = good.replace("\"OKP\"", &format!("\"{kty}\""));
            text.replace("\"Ed25519\"", &format!("\"{crv}\""))
        };
        assert!(import(&jwk("OKP", "Ed25519")).is_ok());
        for (kty, crv) in [("EC", "Ed25519"), ("OKP", "X25519"), ("EC", "P-256")] {
            assert!(import(&jwk(kty, crv)).is_err(), "{kty} {crv}");
        }
    }
}
