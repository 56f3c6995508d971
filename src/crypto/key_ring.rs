//! The key ring in a process: opened private keys, public keys, the JWK Sets, the master keys.
//! Immutable; a change in the database makes a new one. `flows::key::load_keys` loads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::key::algorithm::Algorithm;
use crate::model::key::key::{Key, Ring, State};
use crate::model::key::ring_id::RingId;
use crate::model::key::slots::Slots;

use super::jwk;
use super::jws::{Expected, Signer, Verifier};
use super::keypair::Keypair;
use super::master_key::MasterKeys;
use super::public_key::PublicKey;
use super::{encode, sha256};

/// The answer of a JWKS endpoint, built once for each change.
#[derive(Debug, Clone)]
pub struct Jwks {
    /// The body as JSON.
    pub body: bytes::Bytes,
    /// The strong entity tag, quoted.
    pub etag: String,
}

impl Jwks {
    fn of<'k>(keys: impl IntoIterator<Item = &'k Published>) -> Arc<Self> {
        let keys = keys.into_iter().map(|key| (key.kid.as_str(), &key.public));
        let body = jwk::jwk_set(keys);
        let etag = format!("\"{}\"", encode(&sha256(&body)[..16]));
        Arc::new(Self {
            body: body.into(),
            etag,
        })
    }
}

/// The public half of a published key.
#[derive(Debug, Clone)]
pub struct Published {
    /// The id of the key.
    pub kid: String,
    /// The public key itself.
    pub public: PublicKey,
    /// Whether this service has its private half. A key of another issuer only verifies the tokens
    /// of that issuer, at backends.
    pub is_own: bool,
}

/// The settings that the key ring depends on.
#[derive(Debug, Clone)]
pub struct Naming {
    /// The algorithm of the default audience.
    pub default: Algorithm,
    /// What an access token must say at the doors of this service: that it is for the default
    /// audience.
    pub expected: Expected,
}

/// What is read from the database for one key ring.
pub struct Loaded {
    /// The state of the ring in the database.
    pub id: RingId,
    /// The states and times of the keys.
    pub slots: Slots,
    /// The opened pairs that sign, at most one for each algorithm.
    pub active: Vec<Keypair>,
    /// The public keys that are published.
    pub published: Vec<Published>,
    /// The loaded master keys.
    pub masters: MasterKeys,
}

/// One version of the key ring.
pub struct KeyRing {
    /// The state of the database's ring that this was loaded from.
    pub id: RingId,
    /// The version of the newest master key in the database. A token that names a newer one was not
    /// issued by this service.
    pub master_version: u8,
    /// Verifies access tokens for the default audience of this service, by keys of its algorithm.
    pub verifier: Verifier,
    /// The set of the default audience and of every verifier that knows only the issuer: all keys
    /// but those with the name `Ed25519`, which some verifiers cannot read, unless it is the default.
    pub jwks: Arc<Jwks>,
    /// The set of all keys.
    pub all: Arc<Jwks>,
    /// The states and times of the keys.
    pub slots: Slots,
    /// The loaded master keys.
    pub masters: MasterKeys,
    /// The algorithms of `jwks`, the default one first.
    pub union: Vec<Algorithm>,
    default: Algorithm,
    signers: BTreeMap<Algorithm, Signer>,
    by_algorithm: BTreeMap<Algorithm, Arc<Jwks>>,
}

impl KeyRing {
    /// Builds a key ring.
    pub fn new(loaded: Loaded, naming: &Naming) -> Self {
        let published = arranged(&loaded, naming.default);
        let of = |algorithm: Algorithm| {
            let of_it = move |key: &&&Published| key.public.algorithm() == algorithm;
            published.iter().filter(of_it).copied()
        };
        let default = naming.default;
        let is_in_union =
            |algorithm: Algorithm| algorithm == default || algorithm != Algorithm::Ed25519;
        let algorithms = order(default);
        let is_published = |algorithm: &Algorithm| of(*algorithm).next().is_some();
        let union = algorithms
            .iter()
            .copied()
            .filter(|a| *a == default || is_in_union(*a) && is_published(a))
            .collect();
        let in_union = published
            .iter()
            .copied()
            .filter(|key| is_in_union(key.public.algorithm()));
        let own = of(default).filter(|key| key.is_own);
        let verifier = Verifier::new(
            own.map(|key| (key.kid.as_str(), &key.public)),
            naming.expected.clone(),
        );
        let signers = loaded.active.iter();
        Self {
            id: loaded.id,
            master_version: loaded.masters.current().version,
            verifier,
            jwks: Jwks::of(in_union),
            all: Jwks::of(published.iter().copied()),
            union,
            default,
            signers: signers
                .map(|pair| (pair.algorithm(), Signer::new(pair)))
                .collect(),
            by_algorithm: algorithms
                .into_iter()
                .filter(is_published)
                .map(|algorithm| (algorithm, Jwks::of(of(algorithm))))
                .collect(),
            slots: loaded.slots,
            masters: loaded.masters,
        }
    }

    /// Returns what signs by an algorithm; `None` until a key of it is active.
    pub fn signer(&self, algorithm: Algorithm) -> Option<&Signer> {
        self.signers.get(&algorithm)
    }

    /// Returns the set of one algorithm; `None` while no key of it is published, because some
    /// verifiers take an empty set for an error.
    pub fn jwks_of(&self, algorithm: Algorithm) -> Option<&Arc<Jwks>> {
        self.by_algorithm.get(&algorithm)
    }

    /// Returns the keys of the default audience's algorithm; `None` if there are none.
    pub fn default_slot(&self) -> Option<&Ring> {
        self.slots.of(self.default)
    }

    /// Returns the key that signs for the default audience.
    pub fn default_key(&self) -> Option<&Key> {
        self.default_slot()?.in_state(State::Active)
    }
}

/// Returns the algorithms in the order of a set: the default first.
fn order(default: Algorithm) -> Vec<Algorithm> {
    let others = Algorithm::ALL.into_iter().filter(|other| *other != default);
    std::iter::once(default).chain(others).collect()
}

/// Returns the published keys in the order of a set: by algorithm, then active, standby, and
/// retired ones, the last retired first.
fn arranged(loaded: &Loaded, default: Algorithm) -> Vec<&Published> {
    let of_state = |state: State| match state {
        State::Active => 0,
        State::Standby => 1,
        State::Retired => 2,
        State::Revoked | State::Removed => 3,
    };
    let mut keys: Vec<&Key> = loaded
        .slots
        .keys()
        .filter(|key| key.state.is_published())
        .collect();
    let algorithms = order(default);
    keys.sort_by_key(|key| {
        let slot = algorithms.iter().position(|a| *a == key.algorithm);
        let last_first = std::cmp::Reverse(key.retired_at);
        (slot, of_state(key.state), last_first)
    });
    let public = |key: &Key| loaded.published.iter().find(|public| public.kid == key.kid);
    keys.into_iter().filter_map(public).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::import::Stated;
    use crate::crypto::master_key::{MasterKey, Versioned};
    use crate::model::kernel::time::Timestamp;
    use crate::model::key::algorithm::RsaSize;
    use crate::model::token::claims::Audience;
    use crate::model::token::target::TokenType;
    use crate::random::SeededRandom;

    fn pair(seed: u8) -> Keypair {
        Keypair::from_seed(&[seed; 32]).unwrap()
    }

    fn key_of(pair: &Keypair, state: State, retired_at: Option<i64>) -> Key {
        Key {
            kid: pair.kid().to_owned(),
            algorithm: pair.algorithm(),
            state,
            published_at: Timestamp(0),
            activated_at: None,
            retired_at: retired_at.map(Timestamp),
            ended_at: None,
            reason: None,
            max_ttl: Duration::ZERO,
        }
    }

    fn key(seed: u8, state: State, retired_at: Option<i64>) -> Key {
        key_of(&pair(seed), state, retired_at)
    }

    fn public_of(pair: &Keypair) -> Published {
        Published {
            kid: pair.kid().to_owned(),
            public: pair.public().clone(),
            is_own: true,
        }
    }

    fn ring_of(
        keys: Vec<Key>,
        pairs: &[Keypair],
        active: Vec<Keypair>,
        default: Algorithm,
    ) -> KeyRing {
        let current = Versioned {
            version: 4,
            key: Arc::new(MasterKey::new([1; 32])),
        };
        let naming = Naming {
            default,
            expected: Expected {
                issuer: "https://auth.example.com".into(),
                audience: Audience::One("api".into()),
                typ: TokenType::AtJwt,
            },
        };
        let loaded = Loaded {
            id: RingId {
                version: 1,
                identity: 2,
            },
            slots: Slots::new(keys, &BTreeMap::new()),
            active,
            published: pairs.iter().map(public_of).collect(),
            masters: MasterKeys::new(current, vec![]),
        };
        KeyRing::new(loaded, &naming)
    }

    fn ring(keys: Vec<Key>) -> KeyRing {
        let pairs: Vec<_> = (1..=6).map(pair).collect();
        ring_of(keys, &pairs, vec![pair(1)], Algorithm::EdDsa)
    }

    fn published(jwks: &Jwks) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_slice(&jwks.body).unwrap();
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
        assert_eq!(published(&whole.jwks), kids);
        // With one algorithm, every set is the same.
        assert_eq!(whole.jwks.body, whole.all.body);
        let of_it = whole.jwks_of(Algorithm::EdDsa).unwrap();
        assert_eq!(whole.jwks.body, of_it.body);
        let signer = whole.signer(Algorithm::EdDsa).unwrap();
        assert_eq!(signer.kid(), kids[0]);
        assert_eq!(whole.master_version, 4);
        let etag = &whole.jwks.etag;
        assert!(etag.len() == 24 && etag.starts_with('"') && etag.ends_with('"'));
        assert_ne!(*etag, ring(vec![key(1, State::Active, None)]).jwks.etag);
    }

    #[test]
    fn each_algorithm_has_its_set_and_the_union_leaves_out_the_name_that_some_cannot_read() {
        let random = SeededRandom::new(5);
        let make = |algorithm| Keypair::generate(algorithm, RsaSize::Bits2048, &random).unwrap();
        let pairs = Algorithm::ALL.map(make);
        let active = |pair: &Keypair| key_of(pair, State::Active, None);
        let keys: Vec<Key> = pairs.iter().map(active).collect();
        let [eddsa, ed25519, es256, rs256] = [0, 1, 2, 3].map(|at| pairs[at].kid().to_owned());
        let with_default = |default| ring_of(keys.clone(), &pairs, vec![], default);
        let whole = with_default(Algorithm::EdDsa);
        assert_eq!(published(&whole.jwks), [eddsa.as_str(), &es256, &rs256]);
        assert_eq!(
            whole.union,
            [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256]
        );
        assert_eq!(
            published(&whole.all),
            [eddsa.as_str(), &ed25519, &es256, &rs256]
        );
        for (at, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            let set = whole.jwks_of(algorithm).unwrap();
            assert_eq!(published(set), [pairs[at].kid()]);
        }
        // The default audience's keys come first, and are there under any name.
        let other = with_default(Algorithm::Rs256);
        assert_eq!(published(&other.jwks), [rs256.as_str(), &eddsa, &es256]);
        let other = with_default(Algorithm::Ed25519);
        assert_eq!(
            published(&other.jwks),
            [ed25519.as_str(), &eddsa, &es256, &rs256]
        );
        // No empty set is ever served.
        let one = ring(vec![key(1, State::Active, None)]);
        assert!(one.jwks_of(Algorithm::Rs256).is_none());
        assert!(one.signer(Algorithm::Rs256).is_none());
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
            let token = Signer::new(&pair(2))
                .sign(&claims, TokenType::AtJwt)
                .unwrap();
            assert_eq!(ring.verifier.verify(&token).is_ok(), accepted, "{state:?}");
            let own = ring.signer(Algorithm::EdDsa).unwrap();
            let own = own.sign(&claims, TokenType::AtJwt).unwrap();
            assert!(ring.verifier.verify(&own).is_ok());
        }
    }

    #[test]
    fn a_key_of_another_issuer_is_published_and_opens_no_door_here() {
        let claims = serde_json::from_value(serde_json::json!({
            "iss": "https://auth.example.com", "sub": "u", "aud": "api", "iat": 1, "exp": 2,
            "jti": "j", "sid": "s", "auth_time": 1, "role": "user", "roles": ["user"],
            "permissions": [], "client_id": "web",
        }))
        .unwrap();
        let text = pair(2).private_jwk().unwrap();
        let stated = Stated {
            kid: Some("theirs".into()),
            algorithm: None,
        };
        let theirs = Keypair::import(&text, &stated).unwrap();
        let keys = vec![
            key(1, State::Active, None),
            key_of(&theirs, State::Retired, Some(1)),
        ];
        for is_own in [true, false] {
            let mut ring = ring_of(keys.clone(), &[], vec![], Algorithm::EdDsa);
            let public = Published {
                is_own,
                ..public_of(&theirs)
            };
            let loaded = Loaded {
                id: ring.id,
                slots: ring.slots.clone(),
                active: vec![],
                published: vec![public_of(&pair(1)), public],
                masters: MasterKeys::new(ring.masters.current().clone(), vec![]),
            };
            let naming = Naming {
                default: Algorithm::EdDsa,
                expected: Expected {
                    issuer: "https://auth.example.com".into(),
                    audience: Audience::One("api".into()),
                    typ: TokenType::AtJwt,
                },
            };
            ring = KeyRing::new(loaded, &naming);
            assert!(published(&ring.jwks).contains(&"theirs".to_owned()));
            let token = Signer::new(&theirs)
                .sign(&claims, TokenType::AtJwt)
                .unwrap();
            assert_eq!(ring.verifier.verify(&token).is_ok(), is_own);
        }
    }
}
