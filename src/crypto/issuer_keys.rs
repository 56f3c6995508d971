//! The public keys of another issuer, from its JWKS. A key that cannot be used here (another type or
//! curve, another use, an algorithm that is not of the list) is left out, so that one odd key does not
//! make the others useless.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::public_key::PublicKey;

/// The most keys that are read of one set.
const MOST_KEYS: usize = 100;

/// The public keys of an issuer that can verify id tokens.
pub struct IssuerKeys(Vec<IssuerKey>);

/// One public key, with the one algorithm that it verifies by.
pub(super) struct IssuerKey {
    kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
    /// The length of a signature, in bytes.
    pub(super) signature_length: usize,
}

impl IssuerKeys {
    /// Reads a JWKS. `None` if the text is none; keys that cannot be used are left out.
    pub fn parse(jwks: &[u8]) -> Option<Self> {
        let jwks: Value = serde_json::from_slice(jwks).ok()?;
        let keys = jwks.get("keys")?.as_array()?;
        let usable = keys.iter().take(MOST_KEYS).filter_map(IssuerKey::read);
        Some(Self(usable.collect()))
    }

    /// Returns the number of keys that can be used.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the key of this id; for a token without an id the only key, if there is one alone.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&IssuerKey> {
        match (kid, self.0.as_slice()) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

impl IssuerKey {
    fn read(jwk: &Value) -> Option<Self> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str);
        let algorithm = match jwk.get("alg") {
            None => Algorithm::RS256,
            Some(named) => algorithm(named.as_str()?)?,
        };
        let may_verify = |operations: &Vec<Value>| operations.iter().any(|one| one == "verify");
        let operations = jwk.get("key_ops").and_then(Value::as_array);
        if operations.is_some_and(|operations| !may_verify(operations)) {
            return None;
        }
        let belongs = match algorithm {
            Algorithm::ES256 => member("kty") == Some("EC"),
            Algorithm::EdDSA => member("kty") == Some("OKP"),
            _ => member("kty") == Some("RSA"),
        };
        // The type, the curve, the use and the strength of the key are checked there; the name of the
        // algorithm was checked above.
        let mut material = jwk.clone();
        material.as_object_mut()?.remove("alg");
        let public = PublicKey::from_jwk(&material, None).ok()?;
        belongs.then(|| Self {
            kid: member("kid").map(str::to_owned),
            algorithm,
            signature_length: public.signature_length(),
            key: public.decoding_key(),
        })
    }
}

/// Returns the algorithm of this name, if id tokens may be signed by it.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        "PS256" => Some(Algorithm::PS256),
        _ => None,
    }
}
