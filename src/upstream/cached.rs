//! What is known of one provider: its discovery document and its public keys, each kept by its
//! `Cache-Control` between 5 minutes and 24 hours. The background renews what is due; a request waits
//! for a fetch only where nothing is known yet, or where a token names an unknown key.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::failure::Failure;
use super::metadata::Metadata;
use super::requests::{Asking, DISCOVERY, JWKS};
use super::slot::{Fetched, Slot};
use crate::clock::Clock;
use crate::crypto::id_token::Rejected;
use crate::crypto::issuer_keys::IssuerKeys;

/// How often at most the keys are fetched because a token names an unknown one.
const UNKNOWN_KEY: Duration = Duration::from_secs(30);

/// What is known of one provider.
#[derive(Default)]
pub(super) struct Cached {
    metadata: Slot<Metadata>,
    keys: Slot<IssuerKeys>,
    /// When the keys were fetched for an unknown one, by the uptime of the clock. Held meanwhile, so that
    /// all who look for one share that fetch.
    sought_at: Mutex<Option<Duration>>,
}

impl Cached {
    /// Returns the last good metadata, or fetches it.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if there is none and it cannot be fetched.
    pub(super) async fn metadata(
        &self,
        asking: Asking<'_>,
        clock: &dyn Clock,
    ) -> Result<Arc<Metadata>, Failure> {
        self.metadata.get(clock, discover(asking)).await
    }

    /// Returns the last good keys, or fetches them.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if there are none and they cannot be fetched.
    pub(super) async fn keys(
        &self,
        asking: Asking<'_>,
        clock: &dyn Clock,
    ) -> Result<Arc<IssuerKeys>, Failure> {
        if let Some(known) = self.keys.value() {
            return Ok(known);
        }
        let metadata = self.metadata(asking, clock).await?;
        self.keys.get(clock, fetch_keys(asking, &metadata)).await
    }

    /// Returns keys that may have one which `seen` lacks: those that another caller has fetched, or
    /// fetches them, at most once in 30 seconds. `None` if there are no others.
    pub(super) async fn other_keys(
        &self,
        asking: Asking<'_>,
        clock: &dyn Clock,
        seen: &Arc<IssuerKeys>,
    ) -> Option<Arc<IssuerKeys>> {
        let is_other = |keys: &Arc<IssuerKeys>| !Arc::ptr_eq(keys, seen);
        let mut sought_at = self.sought_at.lock().await;
        if let Some(other) = self.keys.value().filter(is_other) {
            return Some(other);
        }
        let uptime = clock.uptime();
        if sought_at.is_some_and(|at| uptime.saturating_sub(at) < UNKNOWN_KEY) {
            return None;
        }
        // Written before the fetch, so that callers who go away meanwhile do not add fetches.
        *sought_at = Some(uptime);
        let metadata = self.metadata.value()?;
        // A failure leaves the keys that are known.
        let fetched = self.keys.fetch(clock, fetch_keys(asking, &metadata)).await;
        fetched.ok()
    }

    /// Verifies a token by the keys that are known; if it names another key, by newer ones.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if no keys are known and they cannot be fetched.
    pub(super) async fn verified<T>(
        &self,
        asking: Asking<'_>,
        clock: &dyn Clock,
        verify: impl Fn(&IssuerKeys) -> Result<T, Rejected>,
    ) -> Result<Result<T, Rejected>, Failure> {
        let keys = self.keys(asking, clock).await?;
        let outcome = verify(&keys);
        if outcome.as_ref().err() != Some(&Rejected::UnknownKey) {
            return Ok(outcome);
        }
        Ok(match self.other_keys(asking, clock, &keys).await {
            Some(newer) => verify(&newer),
            None => outcome,
        })
    }

    /// Fetches what is due.
    ///
    /// # Errors
    /// [`Failure::Unavailable`]; what was known stays.
    pub(super) async fn refresh(
        &self,
        asking: Asking<'_>,
        clock: &dyn Clock,
    ) -> Result<(), Failure> {
        if self.metadata.is_due(clock) {
            self.metadata.fetch(clock, discover(asking)).await?;
        }
        if self.keys.is_due(clock)
            && let Some(metadata) = self.metadata.value()
            && metadata.jwks_uri.is_some()
        {
            self.keys
                .fetch(clock, fetch_keys(asking, &metadata))
                .await?;
        }
        Ok(())
    }
}

/// Fetches the discovery document.
///
/// # Errors
/// [`Failure::Unavailable`].
pub(super) async fn discover(asking: Asking<'_>) -> Result<Fetched<Metadata>, Failure> {
    match Metadata::location(asking.provider)? {
        None => Ok((Metadata::of_github(asking.provider)?, None)),
        Some(url) => {
            let answer = asking.get(&url, None, DISCOVERY).await?;
            let metadata = Metadata::read(asking, &answer.body)?;
            Ok((metadata, answer.keeps_for()))
        }
    }
}

/// Fetches the public keys.
///
/// # Errors
/// [`Failure::Unavailable`].
pub(super) async fn fetch_keys(
    asking: Asking<'_>,
    metadata: &Metadata,
) -> Result<Fetched<IssuerKeys>, Failure> {
    let url = metadata.jwks_uri.as_ref();
    let url = url.ok_or_else(|| Failure::Unavailable("it has no public keys".into()))?;
    let answer = asking.get(url, None, JWKS).await?;
    let keys = IssuerKeys::parse(&answer.body).filter(|keys| !keys.is_empty());
    let keys =
        keys.ok_or_else(|| Failure::Unavailable("its JWKS has no key that can be used".into()))?;
    Ok((keys, answer.keeps_for()))
}
