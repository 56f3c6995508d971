//! The key ring as a process holds it: opened private keys, public keys, the JWKS body, the master
//! keys. Immutable; a change in the database makes a new one. Loading it is `flows::key::load_keys`'s
//! business.

use crate::model::key::key::{Ring, State};
use crate::model::key::ring_id::RingId;
use crate::model::token::claims::Audience;

use super::jwk;
use super::jws::{Signer, Verifier};
use super::keypair::Keypair;
use super::master_key::MasterKeys;
use super::{encode, sha256};

/// The JWKS answer, built once a change.
#[derive(Debug, Clone)]
pub struct Jwks {
    /// The JSON.
    pub body: bytes::Bytes,
    /// Strong entity tag, quoted.
    pub etag: String,
}

/// What tokens say and how they are typed.
#[derive(Debug, Clone)]
pub struct Naming {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: Audience,
    /// `typ` of the header.
    pub typ: String,
}

/// One version of the ring.
pub struct KeyRing {
    /// Which state of the database's ring this is.
    pub id: RingId,
    /// The newest master key's version in the database; a token that names a newer one is not ours.
    pub master_version: u8,
    /// Signs.
    pub signer: Signer,
    /// Reads our own tokens back.
    pub verifier: Verifier,
    /// Served.
    pub jwks: Jwks,
    /// States and times.
    pub ring: Ring,
    /// Loaded master keys.
    pub masters: MasterKeys,
}

impl KeyRing {
    /// Builds a ring; `publics` are the published keys by kid, `active` the opened pair.
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
