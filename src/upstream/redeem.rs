//! The tokens of a provider: a code is redeemed for the verified identity and its tokens, and a refresh
//! token for newer ones.

use super::asked::Kept;
use super::claims::{self, Beside};
use super::exchange::{self, Issued};
use super::metadata::Metadata;
use super::{Failure, Grant, Known, Upstream, github, userinfo};
use crate::config::upstream::Provider;
use crate::crypto::id_token::{Expected, Nonce};
use crate::crypto::upstream_tokens::{UpstreamTokens, claims_of_verified};
use crate::model::federation::identity::Identity;
use crate::model::kernel::time::Timestamp;

/// What a code was good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    /// Whom the code stands for.
    pub identity: Identity,
    /// The tokens of the user, if the settings keep them.
    pub tokens: Option<UpstreamTokens>,
}

impl Upstream {
    /// Exchanges the code, and returns the verified identity.
    ///
    /// # Errors
    /// As [`Failure`] says; [`Failure::InvalidIdToken`] and [`Failure::IdTokenNotSupported`] excepted.
    pub async fn redeem(
        &self,
        provider: &Provider,
        grant: &Grant<'_>,
        now: Timestamp,
    ) -> Result<Redeemed, Failure> {
        let known = self.known(provider)?;
        let metadata = self.metadata(known).await?;
        let secret = known.secret(&metadata, now)?;
        let secret = secret.as_ref().map(|secret| secret.as_str());
        let issued = exchange::redeem(self.asking(provider), &metadata, secret, grant).await?;
        let identity = self.identity(known, &metadata, &issued, grant, now).await?;
        Ok(Redeemed {
            identity,
            tokens: provider.keep_tokens.then(|| issued.into_tokens(now)),
        })
    }

    /// Asks for newer tokens, once. An id token that comes with them is taken if it is good;
    /// otherwise the former one stays.
    ///
    /// # Errors
    /// [`Failure::RefreshRefused`]; [`Failure::IssuerMismatch`] if the settings name another issuer now,
    /// which is then not asked; [`Failure::NoUserInfo`] if the answer is of another user;
    /// [`Failure::Unavailable`] if it is not known what became of the refresh token.
    pub async fn renew(
        &self,
        provider: &Provider,
        kept: Kept<'_>,
        now: Timestamp,
    ) -> Result<UpstreamTokens, Failure> {
        if !super::is_of(provider, kept.issuer) {
            return Err(Failure::IssuerMismatch);
        }
        let Some(refresh_token) = &kept.tokens.refresh_token else {
            return Err(Failure::RefreshRefused("there is none"));
        };
        let known = self.known(provider)?;
        let metadata = self.metadata(known).await?;
        let secret = known.secret(&metadata, now)?;
        let secret = secret.as_ref().map(|secret| secret.as_str());
        let asking = self.asking(provider);
        let mut issued = exchange::renew(asking, &metadata, secret, refresh_token).await?;
        if let Some(token) = issued.id_token.take() {
            let is_good = self.is_newer(known, &metadata, &token, kept, now).await?;
            issued.id_token = is_good.then_some(token);
        }
        Ok(issued.into_tokens(now).or_of_before(kept.tokens))
    }

    /// Verifies whom the tokens of a code are of.
    async fn identity(
        &self,
        known: &Known,
        metadata: &Metadata,
        issued: &Issued,
        grant: &Grant<'_>,
        now: Timestamp,
    ) -> Result<Identity, Failure> {
        let provider = &*known.provider;
        let asking = self.asking(provider);
        let scopes = issued.scopes.clone();
        let scopes = scopes.unwrap_or_else(|| provider.scopes.clone());
        if !provider.has_id_tokens() {
            return github::identity(asking, &issued.access_token, scopes).await;
        }
        let missing = || Failure::NoUserInfo("the provider issued no id token".into());
        let token = issued.id_token.as_ref().ok_or_else(missing)?;
        let expected = Expected {
            issuer: &metadata.issuer,
            clients: &[&provider.client_id],
            nonce: Nonce::Is(grant.nonce),
        };
        let token = self.verified(known, token, &expected, now).await?;
        let token = token.map_err(|rejected| Failure::NoUserInfo(rejected.to_string()))?;
        let userinfo = userinfo::ask(asking, metadata, &token, &issued.access_token).await?;
        let beside = Beside {
            userinfo,
            first_user: grant.first_user,
            scopes,
        };
        claims::identity(provider, &token, beside)
    }

    /// Returns whether an id token that came with newer tokens is good (OpenID Connect Core section
    /// 12.2).
    ///
    /// # Errors
    /// [`Failure::NoUserInfo`] if it is of another user: then nothing of the answer is taken.
    async fn is_newer(
        &self,
        known: &Known,
        metadata: &Metadata,
        token: &str,
        kept: Kept<'_>,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        let provider = &*known.provider;
        if !provider.has_id_tokens() {
            return Ok(false);
        }
        let before = kept.tokens.id_token.as_deref();
        let before = before.and_then(|token| claims_of_verified(token));
        let nonce = before
            .as_ref()
            .and_then(|claims| claims.get("nonce")?.as_str());
        let expected = Expected {
            issuer: &metadata.issuer,
            clients: &[&provider.client_id],
            nonce: nonce.map_or(Nonce::None, Nonce::NoneOr),
        };
        // The tokens of the answer are good without it: the keys may not be known at the moment.
        let Ok(Ok(token)) = self.verified(known, token, &expected, now).await else {
            tracing::warn!(provider = %provider.id, "an id token that came with renewed tokens is not good, and was left out");
            return Ok(false);
        };
        let subject = claims::subject(provider, &token)?;
        if token.issuer == kept.issuer && subject == kept.subject {
            Ok(true)
        } else {
            let reason = "the renewed tokens are of another user";
            Err(Failure::NoUserInfo(reason.into()))
        }
    }
}
