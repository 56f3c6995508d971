//! Signs in, or links an identity, by an id token that the client has got from the issuer itself: a
//! native app, or a page with the issuer's own script. Each token is good once.

use std::time::Duration;

use crate::app::App;
use crate::config::upstream::Provider;
use crate::crypto::upstream_state::{Linker, Urls, hash_of_token};
use crate::flows::account::two_factor::Own;
use crate::flows::limit::known_device;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::open_session::Options;
use crate::flows::session::presented::Presented;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::federation::identity::Identity;
use crate::model::federation::refused::Refused;
use crate::store;
use crate::upstream::NativeToken;

use super::begin::provider;
use super::links::{self, Linked};
use super::refused::unusable;
pub use super::sign_in::ByUpstream;
use super::sign_in::{Arrival, Outcome, sign_in as enter};

/// How long the use of a token is remembered: longer than any token is accepted.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// An id token of a client.
#[derive(Clone, Copy)]
pub struct Brought<'a> {
    /// The id of the provider.
    pub provider: &'a str,
    /// The token, as the issuer signed it.
    pub token: &'a str,
    /// The nonce that the client used.
    pub nonce: Option<&'a str>,
}

/// What came of an id token.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub enum Done {
    /// A session, or a second step.
    SignedIn(ByUpstream),
    /// The account was made, and its mailbox has to be verified.
    Unverified {
        /// A token by which the device is known when its user verifies the mailbox.
        device: Option<String>,
    },
}

/// Signs in.
///
/// # Errors
/// [`Error::ProviderNotFound`], [`Error::IdTokenNotSupported`], [`Error::InvalidIdToken`],
/// [`Error::UpstreamUnavailable`], [`Error::UpstreamRefused`]; the refusals of the gate.
pub async fn sign_in(
    app: &App,
    brought: Brought<'_>,
    request_sign_up: bool,
    options: Options,
    presented: Presented<'_>,
    requester: &Requester,
) -> Result<Done> {
    let provider = provider(app, brought.provider)?;
    let identity = verified(app, provider, brought, requester).await?;
    let arrival = Arrival {
        options,
        presented,
        request_sign_up,
        urls: &Urls::default(),
    };
    match enter(app, provider, &identity, arrival, requester).await? {
        Outcome::SignedIn(done) => Ok(Done::SignedIn(done)),
        Outcome::Unverified(made) => Ok(Done::Unverified {
            device: known_device::token(app, &made.user, None),
        }),
    }
}

/// Links the identity to one's own account.
///
/// # Errors
/// As [`sign_in`]; [`Error::SessionNotFresh`]; [`Error::SocialAccountAlreadyLinked`];
/// [`Error::LinkingDifferentEmails`] if the issuer did not verify the user's own email address.
pub async fn link(
    app: &App,
    own: Own<'_>,
    brought: Brought<'_>,
    requester: &Requester,
) -> Result<()> {
    links::require_fresh(app, own)?;
    let provider = provider(app, brought.provider)?;
    let identity = verified(app, provider, brought, requester).await?;
    let linker = Linker {
        user: own.user.id,
        session: own.session.id,
    };
    match links::link(app, linker, &identity, &Urls::default(), requester).await {
        Ok(Linked::Done) => Ok(()),
        Ok(Linked::Ask(_)) | Err(Error::UpstreamRefused(Refused::EmailDoesNotMatch)) => {
            Err(Error::LinkingDifferentEmails)
        }
        Err(Error::UpstreamRefused(Refused::LinkedToDifferentUser)) => {
            Err(Error::SocialAccountAlreadyLinked)
        }
        Err(error) => Err(error),
    }
}

/// Verifies the token, and uses it up.
async fn verified(
    app: &App,
    provider: &Provider,
    brought: Brought<'_>,
    requester: &Requester,
) -> Result<Identity> {
    RateLimitCheck::upstream(app, requester)
        .consume(app)
        .await?;
    let native = NativeToken {
        token: brought.token,
        nonce: brought.nonce,
    };
    let identity = app
        .upstream
        .verify(provider, &native, app.now())
        .await
        .map_err(|failure| unusable(provider, &failure))?;
    let (hash, expires_at) = (hash_of_token(brought.token), app.now() + KEPT);
    let work = tx!(tx => {
        Ok(store::login::used_assertions::spend(tx.conn, &hash, expires_at).await?)
    });
    let is_first = app.transaction(&Requester::named("service"), work).await?;
    if is_first {
        Ok(identity)
    } else {
        Err(Error::InvalidIdToken)
    }
}
