//! The public keys of another issuer, read from its JWK Set, so that its last tokens go on verifying
//! after this service has taken its URL over.

use serde_json::Value;

use crate::crypto::keypair::{InvalidKey, is_kid};
use crate::crypto::public_key::PublicKey;
use crate::flows::{Error, Result};
use crate::model::key::algorithm::Algorithm;

/// A public key of another issuer, with the kid that its tokens name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The kid that its tokens name.
    pub kid: String,
    /// The key that verifies them.
    pub public: PublicKey,
}

/// The keys of a JWK Set that can be published, and why the others cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignSet {
    /// The keys that can be published.
    pub keys: Vec<Foreign>,
    /// The kid, or the position, of each other key, with the reason.
    pub skipped: Vec<String>,
}

/// Reads a JWK Set or a single JWK. `kid` names the key of a single one that has none.
///
/// # Errors
/// [`Error::KeyUnusable`] if no key in it can be published, with the reason of each.
pub fn read(text: &str, kid: Option<&str>, algorithm: Option<Algorithm>) -> Result<ForeignSet> {
    let refused = |reason: String| Err(Error::KeyUnusable(reason));
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        return refused("the file is not JSON: write the JWK Set of the other issuer".into());
    };
    let all = match json.get("keys") {
        Some(Value::Array(keys)) => keys.clone(),
        Some(_) => return refused("the member keys is not a list".into()),
        None => vec![json],
    };
    if kid.is_some() && all.len() != 1 {
        return refused("--kid names the key of a file with one key, and this has several".into());
    }
    let mut set = ForeignSet {
        keys: Vec::new(),
        skipped: Vec::new(),
    };
    for (at, jwk) in all.iter().enumerate() {
        let stated = kid.or_else(|| jwk.get("kid").and_then(Value::as_str));
        let name = stated.map_or_else(|| format!("key {}", at + 1), ToOwned::to_owned);
        match foreign(jwk, stated, algorithm) {
            Ok(key) => set.keys.push(key),
            Err(reason) => set.skipped.push(format!("{name}: {reason}")),
        }
    }
    if set.keys.is_empty() {
        return refused(format!(
            "no key in the file can be published: {}",
            set.skipped.join("; ")
        ));
    }
    Ok(set)
}

fn foreign(
    jwk: &Value,
    kid: Option<&str>,
    algorithm: Option<Algorithm>,
) -> std::result::Result<Foreign, String> {
    if jwk.get("d").is_some() {
        return Err("it is a private key; import it without --public, or take d out".into());
    }
    let kid = kid.ok_or("it has no kid, and a verifier finds a key by its kid")?;
    if !is_kid(kid) {
        return Err(InvalidKey::Kid.to_string());
    }
    let public = PublicKey::from_jwk(jwk, algorithm).map_err(|error| error.to_string())?;
    Ok(Foreign {
        kid: kid.to_owned(),
        public,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn jwk(kid: &str, x: &str) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })
    }

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    #[test]
    fn keys_that_cannot_be_published_are_named_and_the_others_are_read() {
        let set = json!({ "keys": [
            jwk("good", X),
            json!({ "kty": "RSA", "kid": "enc", "use": "enc", "n": "AQ", "e": "AQAB" }),
            json!({ "kty": "OKP", "crv": "Ed25519", "x": X }),
            jwk("a b", X),
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "private", "x": X, "d": X }),
        ] });
        let found = read(&set.to_string(), None, None).unwrap();
        assert_eq!(found.keys.len(), 1);
        assert_eq!(found.keys[0].kid, "good");
        let starts = ["enc: ", "key 3: ", "a b: ", "private: "];
        for (reason, start) in found.skipped.iter().zip(starts) {
            assert!(reason.starts_with(start), "{reason}");
        }
        assert_eq!(found.skipped.len(), starts.len());
    }

    #[test]
    fn a_single_key_may_get_its_kid_from_the_operator_and_a_file_without_any_is_refused() {
        let single = json!({ "kty": "OKP", "crv": "Ed25519", "x": X }).to_string();
        assert!(read(&single, None, None).is_err());
        assert_eq!(read(&single, Some("k"), None).unwrap().keys[0].kid, "k");
        let two = json!({ "keys": [jwk("a", X), jwk("b", X)] }).to_string();
        assert_eq!(read(&two, None, None).unwrap().keys.len(), 2);
        for (text, kid) in [
            (two.as_str(), Some("k")),
            ("", None),
            ("{}", None),
            ("[]", None),
            (r#"{"keys":[]}"#, None),
            (r#"{"keys":7}"#, None),
        ] {
            assert!(read(text, kid, None).is_err(), "{text}");
        }
    }
}
