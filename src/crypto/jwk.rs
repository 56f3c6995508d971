//! The JWK Set (RFC 7517) that verifiers fetch.

use serde_json::json;

use super::public_key::PublicKey;

/// Builds the body of a JWK Set from keys with their kids.
pub fn jwk_set<'k>(keys: impl IntoIterator<Item = (&'k str, &'k PublicKey)>) -> Vec<u8> {
    let keys: Vec<_> = keys
        .into_iter()
        .map(|(kid, public)| public.jwk(kid).as_ref().clone())
        .collect();
    serde_json::to_vec(&json!({ "keys": keys })).expect("a JWK Set is JSON")
}
