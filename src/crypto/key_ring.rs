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
