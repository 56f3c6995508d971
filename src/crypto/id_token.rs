//! Verifies the id tokens of other issuers (OpenID Connect Core section 3.1.3.7): a compact JWS of a
//! bounded length, signed by a key of the issuer's JWKS with the algorithm of that key. The claims are
//! compared here, too, so that no caller can forget one of them.

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::issuer_keys::{self, IssuerKeys};
use super::{decode, sha256};
use crate::model::kernel::time::Timestamp;

/// The greatest length of an id token, in bytes.
const LONGEST: usize = 16 * 1024;
/// How far the clocks of both sides may be apart, in seconds.
const LEEWAY: f64 = 60.0;
/// How old an id token may be when it is presented, in seconds.
const OLDEST: f64 = 600.0;
/// The greatest length of `sub`, in characters.
const LONGEST_SUBJECT: usize = 255;

/// What an id token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The issuer, byte for byte. `{tenantid}` in it stands for the claim `tid`, which is then a UUID
    /// (Microsoft).
    pub issuer: &'a str,
    /// The client ids of this service: `aud` must have one of them, and `azp` must be one of them.
    pub clients: &'a [&'a str],
    /// What the nonce must be.
    pub nonce: Nonce<'a>,
}

/// What `nonce` must be.
#[derive(Debug, Clone, Copy)]
pub enum Nonce<'a> {
    /// The token has none.
    None,
    /// The token has this one.
    Is(&'a str),
    /// The token has this one, or its SHA-256 in hexadecimal digits (Apple's apps send that).
    IsOrHash(&'a str),
}

/// Whether a token has to say when it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It has to.
    Needed,
    /// It need not; a time that is there counts.
    IfThere,
}

/// An id token that is good.
#[derive(Debug, Clone)]
pub struct IdToken {
    /// `iss`
    pub issuer: String,
    /// `sub`, 1 to 255 characters.
    pub subject: String,
    /// All claims of the token.
    pub claims: Map<String, Value>,
}

/// Why an id token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Rejected {
    #[error("it is not a compact JWS of at most 16 KiB")]
    Malformed,
    #[error("its header has a critical member, or it is a token of another type")]
    Header,
    #[error("its algorithm is not that of the key")]
    Algorithm,
    #[error("its key is not in the JWKS")]
    UnknownKey,
    #[error("its signature does not match")]
    Signature,
    #[error("its issuer is another one")]
    Issuer,
    #[error("it is for another client")]
    Audience,
    #[error("it has expired, is not valid yet, or is too old")]
    Times,
    #[error("its nonce is another one")]
    Nonce,
    #[error("its subject is missing or too long")]
    Subject,
    #[error("it does not say that a session has ended")]
    Event,
    #[error("its jti is missing or too long")]
    Id,
}

/// Verifies an id token.
///
/// # Errors
/// See [`Rejected`]. After [`Rejected::UnknownKey`] a newer JWKS may have the key.
pub fn verify(
    token: &str,
    keys: &IssuerKeys,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<IdToken, Rejected> {
    // A token of another purpose (`at+jwt`, `logout+jwt`) may have the same claims.
    let claims = claims_of_signed(token, keys, |typ| !typ.ends_with("+jwt"))?;
    // An access token or a logout token of the same issuer may have all that an id token has.
    let is_other_type = |typ: &Value| !matches!(typ.as_str(), Some("ID" | "JWT"));
    if claims.contains_key("events") || claims.get("typ").is_some_and(is_other_type) {
        return Err(Rejected::Header);
    }
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let issuer = text("iss").ok_or(Rejected::Issuer)?;
    check_issuer(issuer, expected.issuer, text("tid"))?;
    check_audience(&claims, expected.clients)?;
    check_times(&claims, now, Expiry::Needed)?;
    check_nonce(claims.get("nonce"), expected.nonce)?;
    let subject = text("sub").filter(|subject| is_name(subject));
    let subject = subject.ok_or(Rejected::Subject)?;
    Ok(IdToken {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        claims: claims.clone(),
    })
}

/// Returns whether a text can name a user or a session of an issuer.
pub fn is_name(text: &str) -> bool {
    (1..=LONGEST_SUBJECT).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Verifies the signature and returns the claims. `is_of_type` is asked about `typ` of the header, in
/// lower case, if there is one.
pub(super) fn claims_of_signed(
    token: &str,
    keys: &IssuerKeys,
    is_of_type: impl Fn(&str) -> bool,
) -> Result<Map<String, Value>, Rejected> {
    if token.len() > LONGEST {
        return Err(Rejected::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Rejected::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Rejected::Malformed)?;
    let header = object(header).ok_or(Rejected::Malformed)?;
    let signature_bytes = decode(signature).ok_or(Rejected::Malformed)?;
    let is_other_type = |typ: &Value| {
        let typ = typ.as_str().map(str::to_ascii_lowercase);
        !typ.is_some_and(|typ| is_of_type(&typ))
    };
    if header.contains_key("crit") || header.get("typ").is_some_and(is_other_type) {
        return Err(Rejected::Header);
    }
    let algorithm = header.get("alg").and_then(Value::as_str);
    let algorithm: Algorithm = algorithm
        .and_then(issuer_keys::algorithm)
        .ok_or(Rejected::Algorithm)?;
    let kid = match header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or(Rejected::Malformed)?),
    };
    let key = keys.find(kid).ok_or(Rejected::UnknownKey)?;
    if key.algorithm != algorithm {
        return Err(Rejected::Algorithm);
    }
    let is_good = signature_bytes.len() == key.signature_length
        && jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, algorithm)
            .unwrap_or(false);
    if !is_good {
        return Err(Rejected::Signature);
    }
    object(payload).ok_or(Rejected::Malformed)
}

/// Decodes a part of a JWS that is a JSON object.
fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&decode(part)?).ok()
}

/// Compares an issuer byte for byte with the one that is expected, or with a template.
///
/// # Errors
/// [`Rejected::Issuer`].
pub fn check_issuer(found: &str, expected: &str, tenant: Option<&str>) -> Result<(), Rejected> {
    let is_same = match expected.split_once("{tenantid}") {
        None => found == expected,
        Some((before, after)) => tenant.is_some_and(|tenant| {
            uuid::Uuid::try_parse(tenant).is_ok()
                && tenant.len() == 36
                && found == format!("{before}{tenant}{after}")
        }),
    };
    if is_same {
        Ok(())
    } else {
        Err(Rejected::Issuer)
    }
}

pub(super) fn check_audience(
    claims: &Map<String, Value>,
    clients: &[&str],
) -> Result<(), Rejected> {
    let is_ours = |value: &Value| value.as_str().is_some_and(|id| clients.contains(&id));
    let (has_ours, has_several) = match claims.get("aud") {
        Some(Value::Array(all)) => (all.iter().any(is_ours), all.len() > 1),
        Some(one) => (is_ours(one), false),
        None => (false, false),
    };
    let is_meant = match claims.get("azp") {
        Some(party) => is_ours(party),
        None => !has_several,
    };
    if has_ours && is_meant {
        Ok(())
    } else {
        Err(Rejected::Audience)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of any year that a token names are exact in 53 bits"
)]
pub(super) fn check_times(
    claims: &Map<String, Value>,
    now: Timestamp,
    expiry: Expiry,
) -> Result<(), Rejected> {
    let at = |name: &str| claims.get(name).and_then(Value::as_f64);
    let present = now.seconds() as f64;
    let expires = match (claims.get("exp"), expiry) {
        (None, Expiry::IfThere) => Some(f64::INFINITY),
        _ => at("exp"),
    };
    let (Some(expires), Some(issued)) = (expires, at("iat")) else {
        return Err(Rejected::Times);
    };
    let begins = match claims.get("nbf") {
        None => issued,
        Some(begins) => begins.as_f64().ok_or(Rejected::Times)?,
    };
    let is_good = present < expires + LEEWAY
        && issued <= present + LEEWAY
        && begins <= present + LEEWAY
        && present - issued <= OLDEST + LEEWAY;
    if is_good {
        Ok(())
    } else {
        Err(Rejected::Times)
    }
}

fn check_nonce(found: Option<&Value>, expected: Nonce<'_>) -> Result<(), Rejected> {
    let found = match found {
        None => None,
        Some(found) => Some(found.as_str().ok_or(Rejected::Nonce)?),
    };
    let is = |text: &str| found.is_some_and(|found| found.as_bytes().ct_eq(text.as_bytes()).into());
    let is_good = match expected {
        Nonce::None => found.is_none(),
        Nonce::Is(nonce) => is(nonce),
        Nonce::IsOrHash(nonce) => is(nonce) || is(&hex::encode(sha256(nonce.as_bytes()))),
    };
    if is_good {
        Ok(())
    } else {
        Err(Rejected::Nonce)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::RSA_PSS_SHA256;
    use serde_json::json;

    use super::*;
    use crate::crypto::encode;
    use crate::crypto::keypair::{Keypair, Private};
    use crate::model::key::algorithm::{Algorithm as Own, RsaSize};
    use crate::random::SeededRandom;

    const NOW: i64 = 1_800_000_000;
    const TENANT: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";

    /// The issuer's keys: one of each type, with their ids.
    struct Issuer {
        rsa: Keypair,
        ec: Keypair,
        ed: Keypair,
        stranger: Keypair,
    }

    fn jwk(pair: &Keypair, kid: &str, alg: Option<&str>) -> Value {
        let mut jwk = json!(pair.public().jwk(kid).as_ref());
        match alg {
            Some(alg) => jwk["alg"] = alg.into(),
            None => {
                jwk.as_object_mut().unwrap().remove("alg");
            }
        }
        jwk
    }

    impl Issuer {
        fn new() -> Self {
            let random = SeededRandom::new(3);
            let make =
                |algorithm| Keypair::generate(algorithm, RsaSize::Bits2048, &random).unwrap();
            Self {
                rsa: make(Own::Rs256),
                ec: make(Own::Es256),
                ed: make(Own::EdDsa),
                stranger: make(Own::Rs256),
            }
        }

        fn jwks(&self) -> Value {
            let mut encryption = jwk(&self.stranger, "enc", Some("RS256"));
            encryption["use"] = "enc".into();
            json!({ "keys": [
                jwk(&self.rsa, "rsa", Some("RS256")),
                jwk(&self.rsa, "pss", Some("PS256")),
                jwk(&self.rsa, "bare", None),
                jwk(&self.ec, "ec", Some("ES256")),
                jwk(&self.ec, "bare-ec", None),
                jwk(&self.ed, "ed", Some("EdDSA")),
                encryption,
                { "kty": "oct", "kid": "oct", "k": "AAAA", "alg": "HS256" },
                "no key",
            ]})
        }

        fn keys(&self) -> IssuerKeys {
            IssuerKeys::parse(self.jwks().to_string().as_bytes()).unwrap()
        }
    }

    fn token(pair: &Keypair, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| encode(value.to_string().as_bytes());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = match (&pair.private, header["alg"].as_str()) {
            (Private::Rsa(rsa), Some("PS256")) => {
                let mut signature = vec![0; rsa.public_modulus_len()];
                let random = SystemRandom::new();
                rsa.sign(&RSA_PSS_SHA256, &random, message.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
            _ => pair.signing_pair().sign(message.as_bytes()).unwrap(),
        };
        format!("{message}.{}", encode(&signature))
    }

    fn good_claims() -> Value {
        json!({
            "iss": "https://id.example.com",
            "sub": "ana-1",
            "aud": "client",
            "exp": NOW + 300,
            "iat": NOW - 5,
            "nonce": "n-1",
        })
    }

    fn with(changes: &Value) -> Value {
        let mut claims = good_claims();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    const EXPECTED: Expected<'static> = Expected {
        issuer: "https://id.example.com",
        clients: &["client", "native"],
        nonce: Nonce::Is("n-1"),
    };

    fn outcome(token: &str, keys: &IssuerKeys) -> Result<IdToken, Rejected> {
        verify(token, keys, &EXPECTED, Timestamp(NOW * 1_000))
    }

    #[test]
    fn claims_are_taken_only_as_they_must_be() {
        use Rejected::{Audience, Issuer as OtherIssuer, Nonce as OtherNonce, Subject, Times};
        let issuer = Issuer::new();
        let keys = issuer.keys();
        let header = json!({ "alg": "RS256", "kid": "rsa", "typ": "JWT" });
        let said = |changes: &Value| outcome(&token(&issuer.rsa, &header, &with(changes)), &keys);
        for good in [
            json!({}),
            json!({ "aud": ["client"] }),
            json!({ "aud": "native" }),
            json!({ "aud": "client", "azp": "client" }),
            json!({ "aud": "client", "azp": "native" }),
            json!({ "aud": ["other", "client"], "azp": "client" }),
            json!({ "exp": NOW - 59 }),
            json!({ "exp": 1_800_000_000.5 }),
            json!({ "iat": NOW + 60 }),
            json!({ "iat": NOW - 660 }),
            json!({ "nbf": NOW + 60 }),
            json!({ "sub": "x".repeat(255) }),
            json!({ "sub": "\u{e4}".repeat(255) }),
            json!({ "more": { "claims": [1, 2] } }),
            json!({ "typ": "ID" }),
        ] {
            let token = said(&good).unwrap_or_else(|why| panic!("{good}: {why}"));
            assert_eq!(token.issuer, "https://id.example.com");
        }
        for (bad, reason) in [
            // A logout token, and an access token of an issuer that gives both the same header.
            (json!({ "events": {} }), Rejected::Header),
            (json!({ "typ": "Bearer" }), Rejected::Header),
            (json!({ "iss": null }), OtherIssuer),
            (json!({ "iss": "https://id.example.com/" }), OtherIssuer),
            (json!({ "iss": "https://ID.example.com" }), OtherIssuer),
            (json!({ "iss": "https://evil.example" }), OtherIssuer),
            (json!({ "iss": "http://id.example.com" }), OtherIssuer),
            (json!({ "iss": ["https://id.example.com"] }), OtherIssuer),
            (json!({ "aud": null }), Audience),
            (json!({ "aud": "other" }), Audience),
            (json!({ "aud": "Client" }), Audience),
            (json!({ "aud": [] }), Audience),
            (json!({ "aud": ["other"] }), Audience),
            (json!({ "aud": ["client", "other"] }), Audience),
            (
                json!({ "aud": ["client", "other"], "azp": "other" }),
                Audience,
            ),
            (json!({ "aud": "client", "azp": "other" }), Audience),
            (json!({ "aud": "client", "azp": ["client"] }), Audience),
            (json!({ "aud": { "client": true } }), Audience),
            (json!({ "exp": null }), Times),
            (json!({ "exp": (NOW + 300).to_string() }), Times),
            (json!({ "exp": NOW - 60 }), Times),
            (json!({ "exp": true }), Times),
            (json!({ "iat": null }), Times),
            (json!({ "iat": NOW + 61 }), Times),
            (json!({ "iat": NOW - 661 }), Times),
            (json!({ "iat": (NOW - 5).to_string() }), Times),
            (json!({ "nbf": NOW + 61 }), Times),
            (json!({ "nbf": "soon" }), Times),
            (json!({ "nonce": null }), OtherNonce),
            (json!({ "nonce": "n-2" }), OtherNonce),
            (json!({ "nonce": "n-1 " }), OtherNonce),
            (json!({ "nonce": ["n-1"] }), OtherNonce),
            (json!({ "sub": null }), Subject),
            (json!({ "sub": "" }), Subject),
            (json!({ "sub": 7 }), Subject),
            (json!({ "sub": "x".repeat(256) }), Subject),
            (json!({ "sub": "a\u{0}b" }), Subject),
        ] {
            assert_eq!(said(&bad).err(), Some(reason), "{bad}");
        }
    }

    #[test]
    fn a_signature_counts_only_by_the_algorithm_of_a_key_of_the_issuer() {
        use Rejected::{Algorithm as OtherAlgorithm, Header, Malformed, Signature, UnknownKey};
        let issuer = Issuer::new();
        let keys = issuer.keys();
        assert_eq!(keys.len(), 5, "four with an algorithm, one by RS256");
        let claims = good_claims();
        for (pair, header) in [
            (&issuer.rsa, json!({ "alg": "RS256", "kid": "rsa" })),
            (&issuer.rsa, json!({ "alg": "PS256", "kid": "pss" })),
            (
                &issuer.rsa,
                json!({ "alg": "RS256", "kid": "bare", "typ": "jwt" }),
            ),
            (
                &issuer.ec,
                json!({ "alg": "ES256", "kid": "ec", "x5t": "x" }),
            ),
            (&issuer.ed, json!({ "alg": "EdDSA", "kid": "ed" })),
        ] {
            let said = outcome(&token(pair, &header, &claims), &keys);
            assert!(said.is_ok(), "{header}: {said:?}");
        }
        for (pair, header, reason) in [
            (
                &issuer.rsa,
                json!({ "alg": "none", "kid": "rsa" }),
                OtherAlgorithm,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "HS256", "kid": "rsa" }),
                OtherAlgorithm,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "HS256", "kid": "oct" }),
                OtherAlgorithm,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "RS512", "kid": "rsa" }),
                OtherAlgorithm,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "rs256", "kid": "rsa" }),
                OtherAlgorithm,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "PS256", "kid": "rsa" }),
                OtherAlgorithm,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "PS256", "kid": "bare" }),
                OtherAlgorithm,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "RS256", "kid": "pss" }),
                OtherAlgorithm,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "RS256", "kid": "ec" }),
                OtherAlgorithm,
            ),
            (
                &issuer.ec,
                json!({ "alg": "ES256", "kid": "rsa" }),
                OtherAlgorithm,
            ),
            (&issuer.rsa, json!({ "kid": "rsa" }), OtherAlgorithm),
            (
                &issuer.rsa,
                json!({ "alg": ["RS256"], "kid": "rsa" }),
                OtherAlgorithm,
            ),
            (
                &issuer.ec,
                json!({ "alg": "ES256", "kid": "bare-ec" }),
                UnknownKey,
            ),
            (
                &issuer.stranger,
                json!({ "alg": "RS256", "kid": "enc" }),
                UnknownKey,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "RS256", "kid": "other" }),
                UnknownKey,
            ),
            (&issuer.rsa, json!({ "alg": "RS256" }), UnknownKey),
            (&issuer.rsa, json!({ "alg": "RS256", "kid": 7 }), Malformed),
            (
                &issuer.stranger,
                json!({ "alg": "RS256", "kid": "rsa" }),
                Signature,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "ES256", "kid": "ec" }),
                Signature,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "EdDSA", "kid": "ed" }),
                Signature,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "RS256", "kid": "rsa", "crit": ["b64"] }),
                Header,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "RS256", "kid": "rsa", "typ": "at+jwt" }),
                Header,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "RS256", "kid": "rsa", "typ": "application/logout+jwt" }),
                Header,
            ),
            (
                &issuer.rsa,
                json!({ "alg": "RS256", "kid": "rsa", "typ": 7 }),
                Header,
            ),
        ] {
            let said = outcome(&token(pair, &header, &claims), &keys);
            assert_eq!(said.err(), Some(reason), "{header}");
        }
        // A key of its own in the header is not read.
        let own = jwk(&issuer.stranger, "rsa", Some("RS256"));
        let header =
            json!({ "alg": "RS256", "kid": "rsa", "jwk": own, "jku": "https://evil.example" });
        let said = outcome(&token(&issuer.stranger, &header, &claims), &keys);
        assert_eq!(said.err(), Some(Signature));
    }

    #[test]
    fn a_token_is_three_parts_of_a_bounded_length_and_no_byte_of_it_may_change() {
        let issuer = Issuer::new();
        let keys = issuer.keys();
        let header = json!({ "alg": "RS256", "kid": "rsa" });
        let good = token(&issuer.rsa, &header, &good_claims());
        assert!(outcome(&good, &keys).is_ok());
        let parts: Vec<&str> = good.split('.').collect();
        let padding = "x".repeat(LONGEST);
        let long = token(&issuer.rsa, &header, &with(&json!({ "padding": padding })));
        let list = format!("{}.{}.{}", parts[0], encode(b"[]"), parts[2]);
        for bad in [
            String::new(),
            ".".into(),
            "..".into(),
            parts[0].into(),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}..{}", parts[0], parts[2]),
            format!("{good}."),
            format!("{good}.x"),
            format!("{good}="),
            format!(" {good}"),
            format!("{}.{}.{}", parts[1], parts[0], parts[2]),
            list,
            long,
        ] {
            assert!(outcome(&bad, &keys).is_err(), "{bad}");
        }
        let nearly = "x".repeat(11_000);
        let nearly = token(&issuer.rsa, &header, &with(&json!({ "padding": nearly })));
        assert!(outcome(&nearly, &keys).is_ok(), "{} bytes", nearly.len());
        for at in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(outcome(&changed, &keys).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_token_without_a_key_id_needs_a_set_of_one_usable_key() {
        let issuer = Issuer::new();
        let unnamed = token(&issuer.rsa, &json!({ "alg": "RS256" }), &good_claims());
        let set = |keys: Value| IssuerKeys::parse(json!({ "keys": keys }).to_string().as_bytes());
        let rsa = jwk(&issuer.rsa, "rsa", Some("RS256"));
        let odd = json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" });
        let one = set(json!([odd, rsa])).unwrap();
        assert!(outcome(&unnamed, &one).is_ok());
        let two = set(json!([rsa, jwk(&issuer.ec, "ec", Some("ES256"))])).unwrap();
        assert_eq!(outcome(&unnamed, &two).err(), Some(Rejected::UnknownKey));
        for no_set in ["", "[]", "{}", r#"{"keys":{}}"#] {
            assert!(IssuerKeys::parse(no_set.as_bytes()).is_none(), "{no_set}");
        }
        assert!(set(json!([])).unwrap().is_empty());
        let signing = |operations: Value| {
            let mut key = rsa.clone();
            key["key_ops"] = operations;
            set(json!([key])).unwrap().len()
        };
        assert_eq!(
            (signing(json!(["verify"])), signing(json!(["encrypt"]))),
            (1, 0)
        );
    }

    #[test]
    fn an_issuer_with_a_tenant_is_the_template_with_the_tenant_of_the_token() {
        let template = "https://login.example/{tenantid}/v2.0";
        let of = |tenant: &str| format!("https://login.example/{tenant}/v2.0");
        for (found, tenant, good) in [
            (of(TENANT), Some(TENANT), true),
            (of(TENANT), None, false),
            (
                of(TENANT),
                Some("9188040d-6c67-4c5b-b112-36a304b66dad"),
                false,
            ),
            (of("x"), Some("x"), false),
            (of("{tenantid}"), Some("{tenantid}"), false),
            (of(&format!("{TENANT}/x")), Some(TENANT), false),
            (
                of(&TENANT.replace('-', "")),
                Some(&TENANT.replace('-', "")),
                false,
            ),
        ] {
            let said = check_issuer(&found, template, tenant);
            assert_eq!(said.is_ok(), good, "{found} {tenant:?}");
        }
    }

    #[test]
    fn the_nonce_of_an_app_is_the_one_that_it_says_or_none_at_all() {
        let hash = hex::encode(sha256(b"raw"));
        for (found, expected, good) in [
            (None, Nonce::None, true),
            (Some("raw"), Nonce::None, false),
            (Some("raw"), Nonce::Is("raw"), true),
            (None, Nonce::Is("raw"), false),
            (Some(hash.as_str()), Nonce::Is("raw"), false),
            (Some(hash.as_str()), Nonce::IsOrHash("raw"), true),
            (Some("raw"), Nonce::IsOrHash("raw"), true),
            (Some("other"), Nonce::IsOrHash("raw"), false),
            (None, Nonce::IsOrHash("raw"), false),
        ] {
            let found = found.map(|text| json!(text));
            let said = check_nonce(found.as_ref(), expected);
            assert_eq!(said.is_ok(), good, "{found:?} {expected:?}");
        }
    }
}
