//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0): an issuer says that a user is no longer
//! signed in there, and the sessions that the identity has opened end here. No browser takes part.

use std::time::Duration;

use crate::app::App;
use crate::config::upstream::Provider;
use crate::crypto::upstream_state::hash_of_logout;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::end_session::end;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::federation::logout::Logout;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::session::endings::Which;
use crate::upstream::Failure;

use super::begin::provider;

/// How long the use of a token is remembered: longer than any token is accepted.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Ends the sessions that a logout token names: those of a session at the issuer or, if it names none, all
/// that its user opened through this provider. A sign-in that waits for its second step ends as well.
/// Nothing is told of whether there were any.
///
/// # Errors
/// [`Error::ProviderNotFound`]; [`Error::IdTokenNotSupported`]; [`Error::InvalidIdToken`] if the token is
/// not good or was used before; [`Error::UpstreamUnavailable`]; [`Error::Limited`].
pub async fn log_out(app: &App, id: &str, token: &str, requester: &Requester) -> Result<()> {
    let provider = provider(app, id)?;
    // Only what is not good is counted: an issuer that ends many sessions at once is no attack.
    let limit = RateLimitCheck::upstream(app, requester);
    limit.look(app)?;
    let ended = attempt(app, provider, token, requester).await;
    if let Err(Error::InvalidIdToken) = ended {
        limit.consume(app).await?;
    }
    ended
}

async fn attempt(app: &App, provider: &Provider, token: &str, requester: &Requester) -> Result<()> {
    let logout = app
        .upstream
        .verify_logout(provider, token, app.now())
        .await
        .map_err(|failure| refused(provider, &failure))?;
    let expires_at = app.now() + KEPT;
    let work = tx!(tx => run(tx, &logout, expires_at).await);
    app.transaction(requester, work).await
}

async fn run(tx: &mut Tx<'_>, logout: &Logout, expires_at: Timestamp) -> Result<()> {
    let hash = hash_of_logout(&logout.provider, &logout.issuer, &logout.id);
    if !store::login::used_assertions::spend(tx.conn, &hash, expires_at).await? {
        return Err(Error::InvalidIdToken);
    }
    let now = tx.now();
    // Before the sessions: a sign-in that is being finished has its session when this goes on.
    store::login::challenges::end_of_logout(tx.conn, logout, now).await?;
    for session in store::session::origins::of_logout(tx.conn, logout).await? {
        end(tx, Which::One(session), RevokedReason::UpstreamLogout).await?;
    }
    Ok(())
}

/// Says why a token ends nothing, and logs the cause.
fn refused(provider: &Provider, failure: &Failure) -> Error {
    tracing::warn!(provider = %provider.id, %failure, "a logout of another issuer was refused");
    match failure {
        Failure::Unavailable(_) => Error::UpstreamUnavailable,
        Failure::IdTokenNotSupported => Error::IdTokenNotSupported,
        _ => Error::InvalidIdToken,
    }
}
