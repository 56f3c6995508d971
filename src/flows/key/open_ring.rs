//! Opening what is stored: which master key is current, the private keys that it sealed, the public
//! ones.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::key_ring::Published;
use crate::crypto::keypair::Keypair;
use crate::crypto::master_key::{MasterKey, MasterKeys, Versioned};
use crate::crypto::public_key::PublicKey;
use crate::crypto::seal;
use crate::flows::{Error, Result};
use crate::model::key::slots::Slots;
use crate::store::key::master_keys::Version;
use crate::store::key::signing_keys::{Stored, StoredRing};
use crate::store::{self, work};

/// Reads the ring and opens every sealed key once; changes nothing.
pub async fn read_ring(app: &App) -> Result<Slots> {
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    let masters = loaded_versions(app, &stored).await?;
    for key in &stored.keys {
        open(key, &masters)?;
    }
    publics(&stored)?;
    Ok(stored.slots())
}

pub(super) fn publics(stored: &StoredRing) -> Result<Vec<Published>> {
    let published = stored.keys.iter().filter(|k| k.key.state.is_published());
    let public = |k: &Stored| {
        let found = PublicKey::stored(&k.public_jwk, k.key.algorithm, &k.thumbprint);
        let public = found.ok_or_else(|| {
            Error::KeyUnusable(format!(
                "the public half of the signing key {} was damaged or changed",
                k.key.kid
            ))
        })?;
        Ok(Published {
            kid: k.key.kid.clone(),
            public,
            is_own: k.private_jwe.is_some(),
        })
    };
    published.map(public).collect()
}

/// Returns what the row of a key says about it.
pub(super) fn row(stored: &Stored) -> seal::Row<'_> {
    seal::Row {
        kid: &stored.key.kid,
        thumbprint: &stored.thumbprint,
        algorithm: stored.key.algorithm,
    }
}

/// Opens a key; returns `None` for a tombstone and for a key of another issuer.
pub(super) fn open(stored: &Stored, masters: &MasterKeys) -> Result<Option<Keypair>> {
    let Some(jwe) = &stored.private_jwe else {
        return Ok(None);
    };
    let pair = seal::open(jwe, row(stored), masters.iter().map(|m| &*m.key))?;
    Ok(Some(pair))
}

/// Returns the master keys in the order of the database: the current one, then older ones that are
/// loaded and not compromised.
pub async fn loaded_versions(app: &App, stored: &StoredRing) -> Result<MasterKeys> {
    let versions = app
        .db
        .read(work!(conn => store::key::master_keys::list(conn).await))
        .await?;
    arrange(&versions, stored.master_version, &app.loaded_keys)
}

fn arrange(
    versions: &[Version],
    current: Option<i64>,
    loaded: &[Arc<MasterKey>],
) -> Result<MasterKeys> {
    let find = |v: &Version| {
        loaded
            .iter()
            .find(|k| k.id() == v.key_id)
            .map(|key| Versioned {
                version: v.version,
                key: Arc::clone(key),
            })
    };
    let current = versions
        .iter()
        .find(|v| Some(i64::from(v.version)) == current);
    let current =
        current.ok_or_else(|| Error::Unavailable("the database names no master key".into()))?;
    let names = || loaded.iter().map(|k| k.id()).collect::<Vec<_>>().join(", ");
    let first = find(current).ok_or_else(|| Error::MasterKeyNotLoaded {
        wanted: current.key_id.clone(),
        loaded: names(),
    })?;
    let others = versions
        .iter()
        .filter(|v| !v.compromised && v.version != current.version)
        .filter_map(find)
        .collect();
    Ok(MasterKeys::new(first, others))
}
