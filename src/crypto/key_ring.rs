//! The key ring in a process: opened private keys, public keys, the JWKS body, the master keys.
//! Immutable; a change in the database makes a new one. `flows::key::load_keys` loads it.

use crate::model::key::key::{Ring, State};
use crate::model::key::ring_id::RingId;
use crate::model::token::claims::Audience;

use super::jwk;
use super::jws::{Signer, Verifier};
use super::keypair::Keypair;
use super::master_key::MasterKeys;
use super::{encode, sha256};

/// The answer of the JWKS endpoint, built once for each change.
#[derive(Debug, Clone)]
pub struct Jwks {
    /// The body as JSON.
    pub body: bytes::Bytes,
    /// The strong entity tag, quoted.
    pub etag: String,
}

/// The settings that tokens depend on.
#[derive(Debug, Clone)]
pub struct Naming {
    /// The issuer, `iss` of tokens.
    pub issuer: String,
    /// The audiences, `aud` of tokens.
    pub audience: Audience,
    /// The type, `typ` of the header of tokens.
    pub typ: String,
}

/// One version of the key ring.
pub struct KeyRing {
    /// The state of the database's ring that this was loaded from.
    pub id: RingId,
    /// The version of the newest master key in the database. A token that names a newer one was not
    /// issued by this service.
    pub master_version: u8,
    /// Signs access tokens with the active key.
    pub signer: Signer,
    /// Verifies access tokens of this service.
    pub verifier: Verifier,
    /// The answer of the JWKS endpoint.
    pub jwks: Jwks,
    /// The states and times of the keys.
    pub ring: Ring,
    /// The loaded master keys.
    pub masters: MasterKeys,
}

impl KeyRing {
    /// Builds a key ring. `publics` are the published keys by kid, `active` is the opened pair.
    pub fn new(
        id: RingId,
        ring: Ring,
        active: &Keypair,
        publics: &[(String, [u8; 32])],
        masters: MasterKeys,
        naming: &Naming,
    ) -> Self {
        let mut published: Vec<_> = ring
            .keys
            .iter()
            .filter(|k| k.state.is_published())
            .collect();
        let order = |state: State| match state {
            State::Active => 0,
            State::Standby => 1,
            State::Retired => 2,
            State::Revoked | State::Removed => 3,
        };
        published.sort_by_key(|k| (order(k.state), std::cmp::Reverse(k.retired_at)));
        let public_of = |kid: &str| publics.iter().find(|(k, _)| k == kid).map(|(_, p)| *p);
        let keys: Vec<[u8; 32]> = published.iter().filter_map(|k| public_of(&k.kid)).collect();
        let body = jwk::jwk_set(&keys);
        let etag = format!("\"{}\"", encode(&sha256(&body)[..16]));
        let verifier = Verifier::new(
            published
                .iter()
                .filter_map(|k| Some((k.kid.clone(), public_of(&k.kid)?))),
            &naming.issuer,
            &naming.audience,
            &naming.typ,
        );
        let master_version = masters.current().version;
        Self {
            id,
            master_version,
            signer: Signer::new(active, &naming.typ),
            verifier,
            jwks: Jwks {
                body: body.into(),
                etag,
            },
            ring,
            masters,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::crypto::master_key::{MasterKey, Versioned};
    use crate::model::kernel::time::Timestamp;
    use crate::model::key::key::Key;

    fn pair(seed: u8) -> Keypair {
        Keypair::from_seed(&[seed; 32]).unwrap()
    }

    fn key(seed: u8, state: State, retired_at: Option<i64>) -> Key {
        Key {
            kid: pair(seed).kid().to_owned(),
            algorithm: "EdDSA".into(),
            state,
            published_at: Timestamp(0),
            activated_at: None,
            retired_at: retired_at.map(Timestamp),
            ended_at: None,
            reason: None,
            max_ttl: Duration::ZERO,
        }
    }

    fn ring(keys: Vec<Key>) -> KeyRing {
        let publics: Vec<_> = (1..=6)
            .map(|seed| (pair(seed).kid().to_owned(), pair(seed).public()))
            .collect();
        let id = RingId {
            version: 1,
            identity: 2,
        };
        let current = Versioned {
            version: 4,
            key: Arc::new(MasterKey::new([1; 32])),
        };
        let naming = Naming {
            issuer: "https://auth.example.com".into(),
            audience: Audience::One("api".into()),
            typ: "at+jwt".into(),
        };
        let ring = Ring {
            keys,
            ..Ring::default()
        };
        let masters = MasterKeys::new(current, vec![]);
        KeyRing::new(id, ring, &pair(1), &publics, masters, &naming)
    }

    fn published(ring: &KeyRing) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_slice(&ring.jwks.body).unwrap();
        let keys = body["keys"].as_array().unwrap();
        keys.iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_jwks_has_the_active_key_first_and_no_tombstone() {
        let whole = ring(vec![
            key(5, State::Removed, Some(1)),
            key(3, State::Retired, Some(10)),
            key(4, State::Retired, Some(20)),
            key(2, State::Standby, None),
            key(6, State::Revoked, Some(30)),
            key(1, State::Active, None),
        ]);
        let kids = [1, 2, 4, 3].map(|seed| pair(seed).kid().to_owned());
        assert_eq!(published(&whole), kids);
        assert_eq!(whole.signer.kid(), kids[0]);
        assert_eq!(whole.master_version, 4);
        let etag = &whole.jwks.etag;
        assert!(etag.len() == 24 && etag.starts_with('"') && etag.ends_with('"'));
        assert_ne!(*etag, ring(vec![key(1, State::Active, None)]).jwks.etag);
    }

    #[test]
    fn only_tokens_of_published_keys_are_accepted() {
        let claims = serde_json::from_value(serde_json::json!({
            "iss": "https://auth.example.com", "sub": "u", "aud": "api", "iat": 1, "exp": 2,
            "jti": "j", "sid": "s", "auth_time": 1, "email": "ana@example.com",
            "email_verified": true, "name": "Ana", "role": "user", "roles": ["user"],
            "permissions": [], "client_id": "web",
        }))
        .unwrap();
        for (state, accepted) in [
            (State::Standby, true),
            (State::Retired, true),
            (State::Revoked, false),
            (State::Removed, false),
        ] {
            let ring = ring(vec![key(1, State::Active, None), key(2, state, None)]);
            let token = Signer::new(&pair(2), "at+jwt").sign(&claims).unwrap();
            assert_eq!(ring.verifier.verify(&token).is_ok(), accepted, "{state:?}");
            let own = ring.signer.sign(&claims).unwrap();
            assert!(ring.verifier.verify(&own).is_ok());
        }
    }
}
