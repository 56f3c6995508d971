//! Shows the keys; nothing here changes or reveals a private key.

use std::sync::Arc;

use crate::app::{App, KEYS_NOT_LOADED};
use crate::crypto::key_ring::KeyRing;
use crate::crypto::{jwk, keypair};
use crate::model::key::key::{Ring, State};
use crate::store::{self, work};

use crate::flows::permit::{Permission, Permitted, to};
use crate::flows::{Error, Result};

/// Returns the opened key ring of this process; `Unavailable` until the keys are loaded.
pub fn loaded(app: &App) -> Result<Arc<KeyRing>> {
    app.ring()
        .ok_or_else(|| Error::Unavailable(KEYS_NOT_LOADED.into()))
}

/// Returns the states and times of all keys; `Unavailable` until the keys are loaded.
pub fn ring(app: &App) -> Result<Ring> {
    Ok(loaded(app)?.ring.clone())
}

/// Returns the states and times to a caller who may view the keys, or at least change them.
pub fn shown<A: LooksAtKeys>(app: &App, _: Permitted<'_, A>) -> Result<Ring> {
    ring(app)
}

/// An action that includes viewing the keys.
pub trait LooksAtKeys: Permission {}
impl LooksAtKeys for to::ListKeys {}
impl LooksAtKeys for to::RotateKeys {}
impl LooksAtKeys for to::RevokeKeys {}

/// Returns the kid of the key that signs.
pub fn active_kid(app: &App) -> Option<String> {
    app.ring()
        .and_then(|ring| ring.ring.in_state(State::Active).map(|k| k.kid.clone()))
}

/// Returns the JWKS as served.
pub fn jwks(app: &App) -> String {
    app.ring()
        .map(|ring| String::from_utf8_lossy(&ring.jwks.body).into_owned())
        .unwrap_or_default()
}

/// Returns the published keys as PEM blocks, each after a comment with its kid.
pub async fn pems(app: &App) -> Result<Vec<String>> {
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    let published = stored.keys.iter().filter(|k| k.key.state.is_published());
    let pem = |k: &store::key::signing_keys::Stored| {
        let public = jwk::public_key(&k.public_jwk, &k.key.kid)
            .and_then(|public| keypair::public_pem(&public));
        let pem = public.ok_or_else(|| {
            Error::KeyUnusable(format!("the public half of {} is unreadable", k.key.kid))
        })?;
        Ok(format!("# {} {}\n{pem}", k.key.kid, k.key.state.as_str()))
    };
    published.map(pem).collect()
}
