//! The tokens that another issuer has given for a user, for the applications of that user: the access
//! token while it is good, a newer one when it is not, and what the issuer says of the user.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::app::App;
use crate::config::upstream::Provider;
use crate::crypto::upstream_tokens::UpstreamTokens;
use crate::flows::account::two_factor::Own;
use crate::flows::account::update_user;
use crate::flows::{Error, Result};
use crate::model::federation::renewal::{Renewal, is_due, lives};
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::store::{self, work};
pub use crate::upstream::Profile;
use crate::upstream::{self, Failure};

use super::links::{self, Link};
use super::renewal::{self, Seen};

/// An identity and the tokens that are kept of it.
pub struct Kept {
    /// The link of the identity.
    pub link: Link,
    /// The tokens that are kept.
    pub tokens: UpstreamTokens,
    provider: Arc<Provider>,
    updated_at: Timestamp,
}

impl Kept {
    /// Returns the scopes that were granted.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.link.scopes.split_ascii_whitespace()
    }

    /// Returns the refresh token, if there is one.
    pub fn refresh_token(&self) -> Option<&Zeroizing<String>> {
        self.tokens.refresh_token.as_ref()
    }

    fn seen(&self) -> Seen {
        Seen {
            account: self.link.id,
            provider: Arc::clone(&self.provider),
            issuer: self.link.issuer.clone(),
            subject: self.link.subject.clone(),
            access_token: self.tokens.access_token.clone(),
            updated_at: self.updated_at,
        }
    }

    fn borrow(&self) -> upstream::Kept<'_> {
        upstream::Kept {
            issuer: &self.link.issuer,
            subject: &self.link.subject,
            tokens: &self.tokens,
        }
    }
}

/// Returns tokens with an access token that is good, renewed if need be.
///
/// # Errors
/// [`Error::AccountNotFound`]; [`Error::ProviderNotSupported`] for a password, and for a provider that the
/// settings do not have; [`Error::AccessTokenNotFound`] if none is kept;
/// [`Error::FailedToGetAccessToken`] if it has expired and the issuer gives no newer one;
/// [`Error::UpstreamUnavailable`] if it has expired and the issuer does not answer.
pub async fn access(app: &Arc<App>, own: Own<'_>, account: &str) -> Result<Kept> {
    let kept = find(app, own.user.id, account, Error::AccessTokenNotFound).await?;
    let now = app.now();
    if !is_due(kept.tokens.expires_at, kept.updated_at, now) {
        return Ok(kept);
    }
    if kept.refresh_token().is_none() {
        return if lives(kept.tokens.expires_at, now) {
            Ok(kept)
        } else {
            Err(Error::FailedToGetAccessToken)
        };
    }
    let renewal = renewal::renew(app, kept.seen()).await;
    let kept = find(app, own.user.id, account, Error::AccessTokenNotFound).await?;
    if lives(kept.tokens.expires_at, app.now()) {
        return Ok(kept);
    }
    Err(match renewal {
        Renewal::Done | Renewal::Refused => Error::FailedToGetAccessToken,
        Renewal::Unknown => Error::UpstreamUnavailable,
        Renewal::TooSoon(wait) => Error::TooManyRequests(wait),
    })
}

/// Renews the tokens, also if the access token is good. Who asks while another renewal is under way gets
/// what that one brings.
///
/// # Errors
/// As [`access`]; [`Error::RefreshTokenNotFound`] if none is kept; [`Error::FailedToRefreshAccessToken`] if
/// the issuer gives no newer tokens.
pub async fn refresh(app: &Arc<App>, own: Own<'_>, account: &str) -> Result<Kept> {
    let kept = find(app, own.user.id, account, Error::RefreshTokenNotFound).await?;
    if kept.refresh_token().is_none() {
        return Err(Error::RefreshTokenNotFound);
    }
    match renewal::renew(app, kept.seen()).await {
        Renewal::Done => find(app, own.user.id, account, Error::RefreshTokenNotFound).await,
        Renewal::Refused => Err(Error::FailedToRefreshAccessToken),
        Renewal::Unknown => Err(Error::UpstreamUnavailable),
        Renewal::TooSoon(wait) => Err(Error::TooManyRequests(wait)),
    }
}

/// Returns what the issuer says of the user.
///
/// # Errors
/// As [`access`]; [`Error::FailedToGetUserInfo`] if it says nothing of this user.
pub async fn profile(app: &Arc<App>, own: Own<'_>, account: &str) -> Result<(Link, Profile)> {
    let kept = access(app, own, account).await?;
    let profile = app.upstream.profile(&kept.provider, kept.borrow()).await;
    let profile = profile.map_err(|failure| {
        tracing::warn!(provider = %kept.provider.id, %failure, "a provider did not say who a user is");
        match failure {
            Failure::Unavailable(_) => Error::UpstreamUnavailable,
            _ => Error::FailedToGetUserInfo,
        }
    })?;
    Ok((kept.link, profile))
}

/// Finds an identity of the user, and the tokens that are kept of it. Without any it is `none`.
async fn find(app: &App, user: UserId, account: &str, none: Error) -> Result<Kept> {
    let link = link(app, user, account).await?;
    let provider = app.config.upstream.find(link.provider.as_str());
    let provider = provider.ok_or(Error::ProviderNotSupported)?;
    // Those of another issuer, which stood in the settings before, are none of this one's.
    if !provider.keep_tokens || !upstream::is_of(provider, &link.issuer) {
        return Err(none);
    }
    let id = link.id;
    let stored = app
        .db
        .read(work!(conn => store::federation::upstream_tokens::find(conn, id).await))
        .await?;
    let Some(stored) = stored else {
        return Err(none);
    };
    match renewal::open(app, id, &stored) {
        Ok(tokens) => Ok(Kept {
            link,
            tokens,
            provider: Arc::clone(provider),
            updated_at: stored.updated_at,
        }),
        Err(Error::Internal(reason)) => {
            tracing::error!(account = %id, reason, "tokens of a provider cannot be opened; they come anew with the next sign-in");
            Err(none)
        }
        Err(error) => Err(error),
    }
}

/// Finds an identity of the user by the id of its row.
///
/// # Errors
/// [`Error::AccountNotFound`]; [`Error::ProviderNotSupported`] for a password.
async fn link(app: &App, user: UserId, account: &str) -> Result<Link> {
    let links = links::of_user(app, user).await?;
    let found = links
        .into_iter()
        .find(|link| link.id.to_string() == account);
    if let Some(link) = found {
        return Ok(link);
    }
    let accounts = update_user::accounts(app, user).await?;
    let is_password = accounts.iter().any(|known| known.id == account);
    Err(if is_password {
        Error::ProviderNotSupported
    } else {
        Error::AccountNotFound
    })
}
