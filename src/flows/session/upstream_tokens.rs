//! The tokens that another issuer has given with a sign-in: what becomes of them when the identity is
//! linked, in the same transaction. While the sign-in waits for another proof they are sealed in its
//! row.

use std::fmt;
use std::sync::Arc;

use crate::app::App;
use crate::config::upstream::Provider;
use crate::crypto::master_key::MasterKeys;
use crate::crypto::upstream_tokens::{Place, UpstreamTokens};
use crate::flows::Result;
use crate::flows::key::inspect_keys;
use crate::flows::transaction::Tx;
use crate::model::kernel::id::EventId;
use crate::store;
use crate::store::federation::upstream_tokens::Sealed;
use crate::store::login::challenges::Challenge;

/// What becomes of the tokens that are kept of an identity.
#[derive(Clone, Default)]
pub(in crate::flows) enum NewTokens {
    /// The sign-in brought none: what is kept stays.
    #[default]
    Left,
    /// The settings keep none any more: what is kept goes.
    Forgotten,
    /// They take the place of those that are kept.
    Brought(Arc<UpstreamTokens>, MasterKeys),
}

impl fmt::Debug for NewTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "Left",
            Self::Forgotten => "Forgotten",
            Self::Brought(..) => "Brought(…)",
        })
    }
}

impl NewTokens {
    /// Decides what becomes of the tokens of a sign-in, by the settings of the provider.
    ///
    /// # Errors
    /// `Unavailable` until the keys are loaded.
    pub(in crate::flows) fn of(
        app: &App,
        provider: &Provider,
        tokens: Option<UpstreamTokens>,
    ) -> Result<Self> {
        if !provider.keep_tokens {
            return Ok(Self::Forgotten);
        }
        let Some(tokens) = tokens else {
            return Ok(Self::Left);
        };
        let masters = inspect_keys::loaded(app)?.masters.clone();
        Ok(Self::Brought(Arc::new(tokens), masters))
    }

    /// Decides what becomes of the tokens of a sign-in that waited for another proof. Tokens that cannot
    /// be opened any more are left out: the user has proven enough without them.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(in crate::flows) fn of_challenge(app: &App, challenge: &Challenge) -> Result<Self> {
        let provider = challenge.upstream.as_ref().map(|link| &link.provider);
        let provider = provider.and_then(|id| app.config.upstream.find(id.as_str()));
        let Some(provider) = provider else {
            return Ok(Self::Left);
        };
        let Some(jwe) = &challenge.upstream_tokens else {
            return Self::of(app, provider, None);
        };
        let ring = inspect_keys::loaded(app)?;
        let masters = ring.masters.iter().map(|master| &*master.key);
        let opened = UpstreamTokens::open(jwe, Place::Challenge(challenge.id), masters);
        let tokens = opened.inspect_err(|error| {
            tracing::warn!(provider = %provider.id, %error, "the tokens of a sign-in were left out");
        });
        Self::of(app, provider, tokens.ok())
    }

    /// Seals them for the row of a sign-in that waits for another proof.
    pub(in crate::flows) fn sealed_for(&self, challenge: EventId) -> Option<String> {
        match self {
            Self::Brought(tokens, masters) => {
                Some(tokens.seal(Place::Challenge(challenge), &masters.current().key))
            }
            Self::Left | Self::Forgotten => None,
        }
    }

    /// Writes what becomes of the tokens of a linked identity, whose row is locked.
    pub(super) async fn settle(&self, tx: &mut Tx<'_>, account: EventId) -> Result<()> {
        match self {
            Self::Left => Ok(()),
            Self::Forgotten => {
                Ok(store::federation::upstream_tokens::remove(tx.conn, account).await?)
            }
            Self::Brought(tokens, masters) => {
                let before = store::federation::upstream_tokens::lock(tx.conn, account).await?;
                let tokens = UpstreamTokens::clone(tokens);
                let keys = masters.iter().map(|master| &*master.key);
                let place = Place::Account(account);
                let before =
                    before.and_then(|it| UpstreamTokens::open(&it.tokens_jwe, place, keys).ok());
                let tokens = match &before {
                    Some(before) => tokens.or_of_before(before),
                    None => tokens,
                };
                keep(tx, account, &tokens, masters).await
            }
        }
    }
}

/// Keeps tokens of an identity in the place of those that were kept.
pub(in crate::flows) async fn keep(
    tx: &mut Tx<'_>,
    account: EventId,
    tokens: &UpstreamTokens,
    masters: &MasterKeys,
) -> Result<()> {
    let now = tx.now();
    let master = &masters.current().key;
    let sealed = Sealed {
        tokens_jwe: &tokens.seal(Place::Account(account), master),
        master_key: master.id(),
        expires_at: tokens.expires_at,
    };
    Ok(store::federation::upstream_tokens::keep(tx.conn, account, sealed, now).await?)
}
