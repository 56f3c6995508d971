//! What the revocation of a signing key would do, told to an admin before it is done.

use std::time::Duration;

use crate::app::App;
use crate::model::kernel::time::Timestamp;
use crate::model::key::key::State;
use crate::model::key::plan::Refused;
use crate::store::{self, work};

use super::inspect_keys;
use crate::flows::Result;
use crate::flows::permit::{Permitted, to};

/// The consequences of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequences {
    /// The state of the key at present.
    pub state: State,
    /// How long a verifier may still accept tokens of the key, because it holds the key set.
    pub accepted_for: Duration,
    /// When the last token of a retired key expires in any case.
    pub leaves_at: Option<Timestamp>,
    /// The live sessions, each of which has to get an access token of another key. `None` if the key
    /// does not sign at present, or if a database with very many sessions did not count them in time:
    /// the key can be revoked all the same.
    pub sessions: Option<u64>,
    /// How long verifiers may refuse the tokens of the key that signs next, because they do not
    /// know it yet; `None` if every verifier knows it.
    pub unknown_for: Option<Duration>,
}

/// Returns what a revocation of the key would do now.
///
/// # Errors
/// [`crate::flows::Error::KeyRefused`] if no published key has this kid.
pub async fn foresee(
    app: &App,
    permitted: Permitted<'_, to::RevokeKeys>,
    kid: &str,
) -> Result<Consequences> {
    let slots = inspect_keys::shown(app, permitted)?;
    let published = slots
        .keys()
        .find(|key| key.kid == kid && key.state.is_published());
    let key = published.ok_or_else(|| Refused::UnknownKid(kid.to_owned()))?;
    let (now, policy) = (app.now(), app.config.keys.policies.of(key.algorithm));
    let ring = slots.of(key.algorithm).cloned().unwrap_or_default();
    let signs = key.state == State::Active;
    let sessions = if signs {
        count_sessions(app, now).await
    } else {
        None
    };
    let missing = |published_at: Timestamp| {
        let needed = policy.publish_before_use(&ring);
        needed.saturating_sub(now.since(published_at))
    };
    // Without a standby key the next key is made at once, and no verifier knows it.
    let next = ring
        .in_state(State::Standby)
        .map_or(now, |key| key.published_at);
    Ok(Consequences {
        state: key.state,
        accepted_for: policy.jwks_max_age + policy.verifier_cache.max(ring.verifier_cache),
        leaves_at: key.leaves_at(),
        sessions,
        unknown_for: Some(missing(next)).filter(|wait| signs && !wait.is_zero()),
    })
}

async fn count_sessions(app: &App, now: Timestamp) -> Option<u64> {
    let counted = app
        .db
        .read(work!(conn => store::session::list_sessions::census(conn, now).await))
        .await;
    match counted {
        Ok(counted) => u64::try_from(counted.live).ok(),
        Err(error) => {
            tracing::warn!(%error, "the sessions could not be counted for the page of a revocation");
            None
        }
    }
}
