//! Public JWKs and the JWK Set (RFC 7517, RFC 8037). Only the members that are named here are
//! published: `null`, `key_ops` and foreign keys each break some verifier.

use josekit::jwk::Jwk;
use serde_json::json;

use super::{decode_array, encode, sha256};

/// Returns the RFC 7638 thumbprint: SHA-256 of the required members in lexical order.
pub fn thumbprint(public: &[u8; 32]) -> String {
    encode(&sha256(
        format!(
            r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
            encode(public)
        )
        .as_bytes(),
    ))
}

/// Returns the public JWK of an Ed25519 key: exactly `kty crv x use alg kid`.
pub fn public_jwk(public: &[u8; 32]) -> Jwk {
    let mut jwk = Jwk::new("OKP");
    jwk.set_curve("Ed25519");
    jwk.set_parameter("x", Some(json!(encode(public))))
        .expect("x is a string");
    jwk.set_key_use("sig");
    jwk.set_algorithm("EdDSA");
    jwk.set_key_id(thumbprint(public));
    jwk
}

/// Returns the public key of a stored JWK if its thumbprint is `kid`.
pub fn public_key(jwk: &str, kid: &str) -> Option<[u8; 32]> {
    let jwk = Jwk::from_bytes(jwk).ok()?;
    let public = decode_array::<32>(jwk.parameter("x")?.as_str()?)?;
    (jwk.curve() == Some("Ed25519") && thumbprint(&public) == kid).then_some(public)
}

/// Builds the body of `GET /jwks`.
pub fn jwk_set(keys: &[[u8; 32]]) -> Vec<u8> {
    let keys: Vec<_> = keys
        .iter()
        .map(|public| public_jwk(public).as_ref().clone())
        .collect();
    serde_json::to_vec(&json!({ "keys": keys })).expect("a JWK Set is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprint_is_that_of_rfc_8037_appendix_a3() {
        let public = decode_array::<32>("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(
            thumbprint(&public),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        assert_eq!(
            String::from_utf8(jwk_set(&[public])).unwrap(),
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}]}"#
        );
    }

    #[test]
    fn a_stored_key_reads_back_under_its_own_name_alone() {
        let public = decode_array::<32>("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let (stored, kid) = (public_jwk(&public).to_string(), thumbprint(&public));
        assert_eq!(public_key(&stored, &kid), Some(public));
        assert_eq!(public_key(&stored, &thumbprint(&[1; 32])), None);
        let other_curve = stored.replace("Ed25519", "X25519");
        assert_eq!(public_key(&other_curve, &kid), None);
        for odd in ["", "{}", r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#] {
            assert_eq!(public_key(odd, &kid), None, "{odd}");
        }
    }
}
