//! Access tokens as JWS. Signing uses an aws-lc-rs key pair that is parsed once and kept, because
//! `jsonwebtoken::encode` parses the private key again for every token and does not know the name
//! `Ed25519`. jsonwebtoken verifies the signatures. The algorithm is that of the key, never that of
//! the token; the times are compared by the caller. A header member that we do not write ourselves
//! is refused, so key material in a header (`jwk`, `jku`, `x5c`, …) is never read.

use std::collections::HashMap;

use jsonwebtoken::DecodingKey;
use serde::Deserialize;

use crate::model::key::algorithm::Algorithm;
use crate::model::token::claims::{AccessClaims, Audience, RESERVED};
use crate::model::token::target::TokenType;

use super::keypair::{Keypair, SigningPair};
use super::public_key::PublicKey;
use super::{decode, encode_into};

/// Greatest length of an access token that is read, in bytes.
const MAX_LENGTH: usize = 8 * 1024;
/// Length of the longest signature, of RSA with 4096 bits, in bytes.
const LONGEST_SIGNATURE: usize = 512;

/// A private key that is ready to sign; built once for each key, not once for each token. It has no
/// `Debug`, and aws-lc erases the private key's memory when the last owner of the pair is dropped.
pub struct Signer {
    kid: String,
    /// The first part of every token of a type, encoded, with the full stop that follows it.
    headers: [(TokenType, String); 2],
    pair: SigningPair,
}

impl Signer {
    /// Prepares the headers that name the pair's algorithm and `kid`, one for each `typ`.
    pub fn new(pair: &Keypair) -> Self {
        let header = |typ: TokenType| {
            // The order of the members is that of earlier releases.
            let json = serde_json::json!({
                "typ": typ.as_str(), "alg": pair.algorithm().as_str(), "kid": pair.kid(),
            });
            let mut header = String::new();
            encode_into(&mut header, json.to_string().as_bytes());
            header.push('.');
            (typ, header)
        };
        Self {
            kid: pair.kid().to_owned(),
            headers: TokenType::ALL.map(header),
            pair: pair.signing_pair(),
        }
    }

    /// Returns the id of the key that signs.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs an access token. `None` if the library fails, which the self-test of every key that is
    /// loaded rules out.
    pub fn sign(&self, claims: &AccessClaims, typ: TokenType) -> Option<String> {
        let payload = serde_json::to_vec(claims).ok()?;
        let (_, header) = self.headers.iter().find(|(of, _)| *of == typ)?;
        compact(&self.pair, header, &payload)
    }
}

/// Builds the JWS compact serialisation (RFC 7515 section 7.1) of an encoded header, which ends
/// with its full stop, and a payload.
pub(super) fn compact(pair: &SigningPair, header: &str, payload: &[u8]) -> Option<String> {
    let encoded = |bytes: usize| bytes.div_ceil(3) * 4;
    let length = header.len() + encoded(payload.len()) + 1 + encoded(LONGEST_SIGNATURE);
    let mut token = String::with_capacity(length);
    token.push_str(header);
    encode_into(&mut token, payload);
    let signature = pair.sign(token.as_bytes())?;
    token.push('.');
    encode_into(&mut token, &signature);
    Some(token)
}

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Rejected {
    #[error("not a compact JWS of ours")]
    Malformed,
    #[error("signed by a key that is not published")]
    UnknownKey,
    #[error("the signature does not match")]
    BadSignature,
    #[error(
        "it has another issuer or audience, or a claim is missing, has the wrong type or is unknown"
    )]
    BadClaims,
}

/// What a token must say besides a good signature.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The issuer, `iss` of the token.
    pub issuer: String,
    /// The audiences; the token's `aud` must have one of them.
    pub audience: Audience,
    /// The type of the header, `typ`.
    pub typ: TokenType,
}

/// The public keys by kid, and what a token must say.
pub struct Verifier {
    keys: HashMap<String, VerifyingKey>,
    expected: Expected,
}

struct VerifyingKey {
    algorithm: Algorithm,
    signature_length: usize,
    key: DecodingKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OurHeader {
    alg: String,
    typ: String,
    kid: String,
}

impl Verifier {
    /// Makes a verifier that accepts tokens of these keys, this issuer, this type and any of these
    /// audiences.
    pub fn new<'k>(
        keys: impl Iterator<Item = (&'k str, &'k PublicKey)>,
        expected: Expected,
    ) -> Self {
        let verifying = |public: &PublicKey| VerifyingKey {
            algorithm: public.algorithm(),
            signature_length: public.signature_length(),
            key: public.decoding_key(),
        };
        Self {
            keys: keys
                .map(|(kid, public)| (kid.to_owned(), verifying(public)))
                .collect(),
            expected,
        }
    }

    /// Verifies everything except the times, which the caller compares.
    ///
    /// # Errors
    /// See [`Rejected`].
    pub fn verify(&self, token: &str) -> Result<AccessClaims, Rejected> {
        let (message, payload, signature) = parts(token).ok_or(Rejected::Malformed)?;
        let header = self.header(message).ok_or(Rejected::Malformed)?;
        let key = self.keys.get(&header.kid).ok_or(Rejected::UnknownKey)?;
        let signature_length = decode(signature).map(|bytes| bytes.len());
        if header.alg != key.algorithm.as_str() || signature_length != Some(key.signature_length) {
            return Err(Rejected::Malformed);
        }
        let is_good = jsonwebtoken::crypto::verify(
            signature,
            message.as_bytes(),
            &key.key,
            name_in_library(key.algorithm),
        );
        if !is_good.unwrap_or(false) {
            return Err(Rejected::BadSignature);
        }
        let claims = serde_json::from_slice(&payload).map_err(|_| Rejected::BadClaims)?;
        self.check_claims(claims).ok_or(Rejected::BadClaims)
    }

    fn check_claims(&self, claims: AccessClaims) -> Option<AccessClaims> {
        // A registered claim that the service never writes, such as `nbf`, has a meaning that this
        // verifier would ignore.
        let is_foreign = RESERVED
            .iter()
            .any(|name| claims.custom.contains_key(*name));
        let audiences = self.expected.audience.all();
        let is_for_us = audiences.iter().any(|own| claims.aud.contains(own));
        (!is_foreign && is_for_us && claims.iss == self.expected.issuer).then_some(claims)
    }

    fn header(&self, message: &str) -> Option<OurHeader> {
        let (header, _) = message.split_once('.')?;
        let header: OurHeader = serde_json::from_slice(&decode(header)?).ok()?;
        let typ = header.typ.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        let is_ours = typ == self.expected.typ.as_str().to_ascii_lowercase()
            && header.alg.parse::<Algorithm>().is_ok();
        is_ours.then_some(header)
    }
}

/// Splits a compact JWS of a bounded length into the signed message, the decoded payload and the
/// encoded signature.
fn parts(token: &str) -> Option<(&str, Vec<u8>, &str)> {
    let is_compact = token.len() <= MAX_LENGTH
        && token
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let (message, signature) = token.rsplit_once('.').filter(|_| is_compact)?;
    let (_, payload) = message.split_once('.')?;
    Some((message, decode(payload)?, signature))
}

/// Returns the library's name of an algorithm. It has one for both names of Ed25519, which differ in
/// nothing but the name.
fn name_in_library(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::EdDsa | Algorithm::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{decode_array, encode};
    use crate::model::key::algorithm::RsaSize;
    use crate::random::SeededRandom;
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    use ed25519_dalek::{Signer as _, SigningKey};
    use jsonwebtoken::Header;
    use serde_json::json;

    fn claims() -> AccessClaims {
        serde_json::from_value(json!({
            "iss": "https://auth.example.com", "sub": "u", "aud": ["a", "b"], "iat": 1, "exp": 2,
            "jti": "j", "sid": "s", "auth_time": 1, "email": "ana@example.com",
            "email_verified": true, "name": "Ana \u{1f98a} \"A\"", "role": "user", "roles": ["user"],
            "permissions": [], "client_id": "web", "tenant": { "id": 7 },
        }))
        .unwrap()
    }

    /// RFC 8037 appendix A.4, with the key of A.1.
    #[test]
    fn a_signature_is_that_of_rfc_8037_appendix_a4() {
        let seed = decode_array("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let pair = Keypair::from_seed(&seed).unwrap().signing_pair();
        assert_eq!(
            compact(
                &pair,
                "eyJhbGciOiJFZERTQSJ9.",
                b"Example of Ed25519 signing"
            )
            .unwrap(),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-\
             09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    /// Two other implementations produce the same bytes: jsonwebtoken, which signed the tokens of
    /// earlier releases, the whole token, and ed25519-dalek the signature.
    #[test]
    fn a_token_is_byte_for_byte_that_of_jsonwebtoken_and_ed25519_dalek() {
        for byte in 0..=255 {
            let seed = [byte; 32];
            let pair = Keypair::from_seed(&seed).unwrap();
            let token = Signer::new(&pair)
                .sign(&claims(), TokenType::AtJwt)
                .unwrap();

            let dalek = SigningKey::from_bytes(&seed);
            let (message, signature) = token.rsplit_once('.').unwrap();
            assert_eq!(
                signature,
                encode(&dalek.sign(message.as_bytes()).to_bytes())
            );

            let header = Header {
                typ: Some("at+jwt".into()),
                kid: Some(pair.kid().into()),
                ..Header::new(jsonwebtoken::Algorithm::EdDSA)
            };
            // PKCS#8 of RFC 8410 section 7, with only the seed.
            let der = dalek.to_pkcs8_der().unwrap();
            let key = jsonwebtoken::EncodingKey::from_ed_der(der.as_bytes());
            assert_eq!(
                token,
                jsonwebtoken::encode(&header, &claims(), &key).unwrap()
            );
        }
    }

    const SEED: [u8; 32] = [7; 32];

    /// Knows the key of [`SEED`], and two audiences of which the claims above name one.
    fn verifier() -> Verifier {
        let pair = Keypair::from_seed(&SEED).unwrap();
        Verifier::new(std::iter::once((pair.kid(), pair.public())), expected())
    }

    fn expected() -> Expected {
        Expected {
            issuer: "https://auth.example.com".into(),
            audience: Audience::Many(vec!["b".into(), "c".into()]),
            typ: TokenType::AtJwt,
        }
    }

    fn good_header() -> serde_json::Value {
        let pair = Keypair::from_seed(&SEED).unwrap();
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": pair.kid() })
    }

    /// A token of this header and these claims, with a good signature of the pair of this seed.
    fn signed(seed: &[u8; 32], header: &serde_json::Value, claims: &serde_json::Value) -> String {
        let pair = Keypair::from_seed(seed).unwrap().signing_pair();
        let header = format!("{}.", encode(header.to_string().as_bytes()));
        compact(&pair, &header, claims.to_string().as_bytes()).unwrap()
    }

    fn with(
        mut object: serde_json::Value,
        name: &str,
        value: serde_json::Value,
    ) -> serde_json::Value {
        object[name] = value;
        object
    }

    fn good_claims() -> serde_json::Value {
        serde_json::to_value(claims()).unwrap()
    }

    #[test]
    fn a_token_of_ours_reads_back_and_the_signer_names_its_key() {
        let pair = Keypair::from_seed(&SEED).unwrap();
        let signer = Signer::new(&pair);
        assert_eq!(signer.kid(), pair.kid());
        let token = signer.sign(&claims(), TokenType::AtJwt).unwrap();
        assert_eq!(verifier().verify(&token), Ok(claims()));
        for typ in ["AT+JWT", "application/at+jwt"] {
            let header = with(good_header(), "typ", json!(typ));
            let token = signed(&SEED, &header, &good_claims());
            assert_eq!(verifier().verify(&token), Ok(claims()), "{typ}");
        }
    }

    /// Every algorithm's token is accepted under its own key and name, and under no other.
    #[test]
    fn the_key_decides_the_algorithm_and_never_the_token() {
        let random = SeededRandom::new(3);
        let make = |algorithm| Keypair::generate(algorithm, RsaSize::Bits2048, &random).unwrap();
        let pairs = Algorithm::ALL.map(make);
        let verifier = Verifier::new(pairs.iter().map(|p| (p.kid(), p.public())), expected());
        for pair in &pairs {
            for typ in TokenType::ALL {
                let token = Signer::new(pair).sign(&claims(), typ).unwrap();
                let accepted = verifier.verify(&token).is_ok();
                assert_eq!(accepted, typ == TokenType::AtJwt, "{}", pair.algorithm());
            }
            for kid in pairs.iter().map(Keypair::kid) {
                for alg in [
                    "EdDSA", "Ed25519", "ES256", "RS256", "HS256", "PS256", "none",
                ] {
                    let header = json!({ "typ": "at+jwt", "alg": alg, "kid": kid });
                    let header = format!("{}.", encode(header.to_string().as_bytes()));
                    let payload = good_claims().to_string();
                    let token = compact(&pair.signing_pair(), &header, payload.as_bytes());
                    let is_its_own = kid == pair.kid() && alg == pair.algorithm().as_str();
                    let accepted = verifier.verify(&token.unwrap()).is_ok();
                    assert_eq!(accepted, is_its_own, "{alg} {}", pair.algorithm());
                }
            }
        }
    }

    /// RFC 7515 section 3.4: an ECDSA signature is r and s, not their DER.
    #[test]
    fn a_signature_in_another_form_or_of_another_length_is_refused() {
        let random = SeededRandom::new(4);
        for algorithm in Algorithm::ALL {
            let pair = Keypair::generate(algorithm, RsaSize::Bits2048, &random).unwrap();
            let keys = std::iter::once((pair.kid(), pair.public()));
            let verifier = Verifier::new(keys, expected());
            let token = Signer::new(&pair)
                .sign(&claims(), TokenType::AtJwt)
                .unwrap();
            assert!(verifier.verify(&token).is_ok());
            let (message, signature) = token.rsplit_once('.').unwrap();
            let good = decode(signature).unwrap();
            let half = good.len() / 2;
            let zeros = vec![0; half];
            let der = [&[0x30, 68, 2, 32][..], &good[..32], &[2, 32], &good[32..64]].concat();
            for odd in [
                [&good[..], &[0]].concat(),
                [&[0], &good[..]].concat(),
                good[..good.len() - 1].to_vec(),
                [&zeros[..], &good[half..]].concat(),
                [&good[..half], &zeros[..]].concat(),
                vec![0; good.len()],
                vec![],
                der,
            ] {
                let token = format!("{message}.{}", encode(&odd));
                assert!(verifier.verify(&token).is_err(), "{algorithm} {odd:?}");
            }
        }
    }

    #[test]
    fn a_well_signed_token_with_another_header_is_refused() {
        let refused = |header: serde_json::Value| {
            let token = signed(&SEED, &header, &good_claims());
            verifier().verify(&token).unwrap_err()
        };
        for (name, value) in [
            ("alg", json!("ES256")),
            ("alg", json!("none")),
            ("typ", json!("JWT")),
            ("typ", json!("application/jwt")),
            ("jku", json!("https://evil.example/")),
            ("crit", json!(["b64"])),
        ] {
            let header = with(good_header(), name, value);
            assert_eq!(refused(header.clone()), Rejected::Malformed, "{header}");
        }
        let unknown = with(good_header(), "kid", json!("another"));
        assert_eq!(refused(unknown), Rejected::UnknownKey);
    }

    #[test]
    fn a_token_of_another_key_issuer_or_audience_is_refused() {
        let other = signed(&[8; 32], &good_header(), &good_claims());
        assert_eq!(verifier().verify(&other), Err(Rejected::BadSignature));
        for (name, value) in [
            ("iss", json!("https://auth.example.com/")),
            ("aud", json!("a")),
            ("aud", json!([])),
            ("exp", json!("2")),
            ("sub", json!(5)),
        ] {
            let claims = with(good_claims(), name, value);
            let token = signed(&SEED, &good_header(), &claims);
            assert_eq!(
                verifier().verify(&token),
                Err(Rejected::BadClaims),
                "{claims}"
            );
        }
        for name in ["iss", "aud", "sub", "exp", "sid", "jti"] {
            let mut claims = good_claims();
            claims.as_object_mut().unwrap().remove(name);
            let token = signed(&SEED, &good_header(), &claims);
            let refused = verifier().verify(&token);
            assert_eq!(refused, Err(Rejected::BadClaims), "without {name}");
        }
    }

    #[test]
    fn a_registered_claim_that_we_never_write_is_refused() {
        let written = good_claims();
        let others: Vec<_> = RESERVED
            .into_iter()
            .filter(|name| written.get(name).is_none() && !["act", "acr", "amr"].contains(name))
            .collect();
        assert_eq!(others, ["nbf", "scope", "cnf", "azp", "nonce"]);
        for name in others {
            let token = signed(&SEED, &good_header(), &with(good_claims(), name, json!(0)));
            let refused = verifier().verify(&token);
            assert_eq!(refused, Err(Rejected::BadClaims), "{name}");
        }
    }

    #[test]
    fn a_text_that_is_no_compact_jws_is_refused() {
        let verifier = verifier();
        let good = signed(&SEED, &good_header(), &good_claims());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (header, payload) = message.split_once('.').unwrap();
        let long = |name: usize| {
            let claims = with(good_claims(), "name", json!("n".repeat(name)));
            signed(&SEED, &good_header(), &claims)
        };
        // One more byte of the name makes a token of one or two characters more.
        let room = (MAX_LENGTH - long(0).len()) * 3 / 4;
        let fits = long(room);
        assert_eq!(fits.len(), MAX_LENGTH);
        assert!(verifier.verify(&fits).is_ok());
        for odd in [
            long(room + 1),
            String::new(),
            message.to_owned(),
            format!("{good}."),
            format!("{good}.x"),
            format!("{good}="),
            format!("{header}.{payload}=.{signature}"),
            format!("{header}.{payload}.{}", &signature[..84]),
            format!("{header}.{payload}.{signature}AA"),
            format!("{header}.{payload}.{}", encode(&[0; 63])),
            format!("{header}.{payload}.{}", encode(&[0; 65])),
            good.replace('e', "\u{e9}"),
            format!(" {good}"),
        ] {
            assert_eq!(verifier.verify(&odd), Err(Rejected::Malformed), "{odd}");
        }
    }
}
