//! Access tokens as JWS. Signing uses an aws-lc-rs key pair that is parsed once and kept, because
//! `jsonwebtoken::encode` parses the private key again for every token. Verification goes through
//! jsonwebtoken, whose own clock is switched off (the caller compares the times). A header member
//! that we do not write ourselves is refused, so key material in a header (`jwk`, `jku`, `x5c`, …)
//! is never read.

use std::collections::HashMap;

use aws_lc_rs::signature::Ed25519KeyPair;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;

use crate::model::token::claims::{AccessClaims, Audience, RESERVED};

use super::keypair::Keypair;
use super::{decode, encode_into};

/// Greatest length of an access token that is read, in bytes.
const MAX_LENGTH: usize = 8 * 1024;
/// Length of an Ed25519 signature, in bytes.
const SIGNATURE_LENGTH: usize = 64;

/// A private key that is ready to sign; built once for each key, not once for each token. It has no
/// `Debug`, and aws-lc erases the private key's memory when the last owner of the pair is dropped.
pub struct Signer {
    kid: String,
    /// The first part of every token, encoded, with the full stop that follows it.
    header: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// Prepares the header that names the pair's `kid` and the configured `typ`.
    pub fn new(pair: &Keypair, typ: &str) -> Self {
        let header = Header {
            typ: Some(typ.to_owned()),
            kid: Some(pair.kid().to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        let json = serde_json::to_vec(&header).expect("a header of three texts is JSON");
        let mut header = String::new();
        encode_into(&mut header, &json);
        header.push('.');
        Self {
            kid: pair.kid().to_owned(),
            header,
            pair: pair.signing_pair(),
        }
    }

    /// Returns the id of the key that signs.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs an access token. `None` if the library fails, which the self-test of
    /// [`Keypair::from_seed`] rules out for a key that loads.
    pub fn sign(&self, claims: &AccessClaims) -> Option<String> {
        let payload = serde_json::to_vec(claims).ok()?;
        compact(&self.pair, &self.header, &payload)
    }
}

/// Builds the JWS compact serialisation (RFC 7515 section 7.1) of an encoded header, which ends
/// with its full stop, and a payload.
fn compact(pair: &Ed25519KeyPair, header: &str, payload: &[u8]) -> Option<String> {
    let encoded = |bytes: usize| bytes.div_ceil(3) * 4;
    let length = header.len() + encoded(payload.len()) + 1 + encoded(SIGNATURE_LENGTH);
    let mut token = String::with_capacity(length);
    token.push_str(header);
    encode_into(&mut token, payload);
    let signature = pair.try_sign(token.as_bytes()).ok()?;
    token.push('.');
    encode_into(&mut token, signature.as_ref());
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

/// The public keys by kid, and the issuer and audiences that a token must have.
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
    typ: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OurHeader {
    alg: String,
    typ: String,
    kid: String,
}

impl Verifier {
    /// Makes a verifier that accepts tokens of these keys, this issuer and any of these audiences.
    pub fn new(
        keys: impl Iterator<Item = (String, [u8; 32])>,
        issuer: &str,
        audience: &Audience,
        typ: &str,
    ) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_issuer(&[issuer]);
        validation.set_audience(audience.all());
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let keys = keys
            .map(|(kid, public)| (kid, DecodingKey::from_ed_der(&public)))
            .collect();
        Self {
            keys,
            validation,
            typ: typ.to_owned(),
        }
    }

    /// Verifies everything except the times, which the caller compares.
    pub fn verify(&self, token: &str) -> Result<AccessClaims, Rejected> {
        let header = self.header(token).ok_or(Rejected::Malformed)?;
        let key = self.keys.get(&header.kid).ok_or(Rejected::UnknownKey)?;
        match jsonwebtoken::decode::<AccessClaims>(token, key, &self.validation) {
            // A registered claim that the service never writes, such as `nbf`, has a meaning that
            // this verifier would ignore.
            Ok(data)
                if RESERVED
                    .iter()
                    .any(|name| data.claims.custom.contains_key(*name)) =>
            {
                Err(Rejected::BadClaims)
            }
            Ok(data) => Ok(data.claims),
            Err(e) if matches!(e.kind(), jsonwebtoken::errors::ErrorKind::InvalidSignature) => {
                Err(Rejected::BadSignature)
            }
            Err(_) => Err(Rejected::BadClaims),
        }
    }

    fn header(&self, token: &str) -> Option<OurHeader> {
        let is_compact = token.len() <= MAX_LENGTH
            && token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let mut parts = token.split('.');
        let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if !is_compact
            || parts.next().is_some()
            || decode(payload).is_none()
            || decode(signature)?.len() != SIGNATURE_LENGTH
        {
            return None;
        }
        let header: OurHeader = serde_json::from_slice(&decode(header)?).ok()?;
        let typ = header.typ.to_ascii_lowercase();
        let is_ours = header.alg == "EdDSA"
            && typ.strip_prefix("application/").unwrap_or(&typ) == self.typ.to_ascii_lowercase();
        is_ours.then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{decode_array, encode};
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    use ed25519_dalek::{Signer as _, SigningKey};
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
            let token = Signer::new(&pair, "at+jwt").sign(&claims()).unwrap();

            let dalek = SigningKey::from_bytes(&seed);
            let (message, signature) = token.rsplit_once('.').unwrap();
            assert_eq!(
                signature,
                encode(&dalek.sign(message.as_bytes()).to_bytes())
            );

            let header = Header {
                typ: Some("at+jwt".into()),
                kid: Some(pair.kid().into()),
                ..Header::new(Algorithm::EdDSA)
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
        let audience = Audience::Many(vec!["b".into(), "c".into()]);
        let keys = std::iter::once((pair.kid().to_owned(), pair.public()));
        Verifier::new(keys, "https://auth.example.com", &audience, "at+jwt")
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
        let signer = Signer::new(&pair, "at+jwt");
        assert_eq!(signer.kid(), pair.kid());
        let token = signer.sign(&claims()).unwrap();
        assert_eq!(verifier().verify(&token), Ok(claims()));
        for typ in ["AT+JWT", "application/at+jwt"] {
            let header = with(good_header(), "typ", json!(typ));
            let token = signed(&SEED, &header, &good_claims());
            assert_eq!(verifier().verify(&token), Ok(claims()), "{typ}");
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
        for name in ["iss", "aud", "sub", "exp"] {
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
            .filter(|name| written.get(name).is_none() && *name != "act")
            .collect();
        assert_eq!(others, ["nbf", "scope", "cnf", "azp", "nonce", "amr"]);
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
