//! Shows the keys; nothing here changes or reveals a private key.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::{App, KEYS_NOT_LOADED};
use crate::crypto::key_ring::{Jwks, KeyRing};
use crate::crypto::public_key::PublicKey;
use crate::model::key::algorithm::Algorithm;
use crate::model::key::slots::Slots;
use crate::store::{self, work};

use crate::flows::permit::{Permission, Permitted, to};
use crate::flows::{Error, Result};

/// Returns the opened key ring of this process; `Unavailable` until the keys are loaded.
pub fn loaded(app: &App) -> Result<Arc<KeyRing>> {
    app.ring()
        .ok_or_else(|| Error::Unavailable(KEYS_NOT_LOADED.into()))
}

/// Returns the states and times of all keys; `Unavailable` until the keys are loaded.
pub fn slots(app: &App) -> Result<Slots> {
    Ok(loaded(app)?.slots.clone())
}

/// Returns the states and times to a caller who may view the keys, or at least change them.
pub fn shown<A: LooksAtKeys>(app: &App, _: Permitted<'_, A>) -> Result<Slots> {
    slots(app)
}

/// An action that includes viewing the keys.
pub trait LooksAtKeys: Permission {}
impl LooksAtKeys for to::ListKeys {}
impl LooksAtKeys for to::RotateKeys {}
impl LooksAtKeys for to::RevokeKeys {}

/// Returns the kids of the keys that sign, by algorithm; none until the keys are loaded.
pub fn active_kids(app: &App) -> BTreeMap<Algorithm, String> {
    app.ring()
        .map(|ring| ring.slots.active_kids())
        .unwrap_or_default()
}

/// Which JWK Set is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set<'n> {
    /// The set of `/jwks`.
    Default,
    /// Every key.
    All,
    /// The set of one audience of the settings.
    Audience(&'n str),
}

impl<'n> Set<'n> {
    /// Returns the set at `/jwks/{name}`.
    pub fn at(name: &'n str) -> Self {
        if name == "all" {
            Self::All
        } else {
            Self::Audience(name)
        }
    }
}

impl Set<'_> {
    /// Returns the label of the set in metrics, of which there are three.
    pub fn label(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::All => "all",
            Self::Audience(_) => "audience",
        }
    }
}

/// Returns a JWK Set as served; `None` if no audience has this name.
///
/// # Errors
/// [`Error::Unavailable`] until the keys are loaded, or until the set has a key.
pub fn jwks(app: &App, set: Set<'_>) -> Result<Option<Arc<Jwks>>> {
    let named = match set {
        Set::Default | Set::All => None,
        Set::Audience(name) => match app.config.tokens.targets.of_name(name) {
            Some(target) => Some(target),
            None => return Ok(None),
        },
    };
    let ring = loaded(app)?;
    let jwks = match (set, named) {
        (Set::All, _) => Some(&ring.all),
        (_, None) => Some(&ring.jwks),
        (_, Some(target)) => ring.jwks_of(target.algorithm),
    };
    let none_yet = || Error::Unavailable("no key of this audience is published yet".into());
    jwks.cloned().ok_or_else(none_yet).map(Some)
}

/// Returns the keys of a set as PEM blocks, each after a comment with its kid; `None` if no audience
/// has this name.
pub async fn pems(app: &App, set: Set<'_>) -> Result<Option<Vec<String>>> {
    let algorithms = match set {
        Set::Default => loaded(app)?.union.clone(),
        Set::All => Algorithm::ALL.to_vec(),
        Set::Audience(name) => match app.config.tokens.targets.of_name(name) {
            Some(target) => vec![target.algorithm],
            None => return Ok(None),
        },
    };
    let stored = app
        .db
        .read(work!(conn => store::key::signing_keys::load(conn).await))
        .await?;
    let published = stored
        .keys
        .iter()
        .filter(|k| k.key.state.is_published() && algorithms.contains(&k.key.algorithm));
    let pem = |k: &store::key::signing_keys::Stored| {
        let public = PublicKey::stored(&k.public_jwk, k.key.algorithm, &k.thumbprint);
        let pem = public.and_then(|public| public.pem()).ok_or_else(|| {
            Error::KeyUnusable(format!("the public half of {} is unreadable", k.key.kid))
        })?;
        let algorithm = match k.key.algorithm {
            Algorithm::EdDsa => String::new(),
            other => format!(" {other}"),
        };
        let state = k.key.state.as_str();
        Ok(format!("# {} {state}{algorithm}\n{pem}", k.key.kid))
    };
    published.map(pem).collect::<Result<_>>().map(Some)
}
