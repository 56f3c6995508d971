//! Other issuers: where their authorization pages are, and what they say of a user. Each file has one
//! step: `metadata` reads what a provider says of itself, `cached` keeps it, `authorize` makes the URL
//! for the browser, `exchange` redeems the code, `claims` and `github` make the identity.

mod asked;
mod authorize;
mod cached;
mod claims;
mod exchange;
mod failure;
mod github;
mod logout;
mod metadata;
mod requests;
mod slot;
mod userinfo;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use url::Url;
use zeroize::Zeroizing;

pub use asked::{Authorization, Grant, NativeToken, may_be_added};
pub use failure::Failure;

use self::cached::Cached;
use self::claims::Beside;
use self::metadata::Metadata;
use self::requests::Asking;
use crate::clock::Clock;
use crate::config::upstream::{ClientSecret, Kind, Provider, Upstreams};
use crate::crypto::client_secret::ClientSecretSigner;
use crate::crypto::id_token::{self, Expected, IdToken, Nonce, Rejected};
use crate::crypto::issuer_keys::IssuerKeys;
use crate::model::federation::identity::Identity;
use crate::model::federation::provider::ProviderId;
use crate::model::kernel::time::Timestamp;
use crate::outbound_http::Guarded;

/// The connections to all providers, with what is known of each.
pub struct Upstream {
    client: Guarded,
    clock: Arc<dyn Clock>,
    providers: Vec<Known>,
    by_id: HashMap<ProviderId, usize>,
}

/// A provider of the settings, and what was fetched of it.
struct Known {
    provider: Arc<Provider>,
    cached: Cached,
    /// Who signs the client secret (Apple).
    signer: Option<ClientSecretSigner>,
}

/// What a provider says of itself, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The issuer; at Microsoft `{tenantid}` stands for the tenant of the user.
    pub issuer: String,
    /// Where browsers are sent.
    pub authorization_endpoint: Url,
    /// Where codes are exchanged.
    pub token_endpoint: Url,
    /// Where claims are read that the id token lacks.
    pub userinfo_endpoint: Option<Url>,
    /// Where the public keys are; `None` for a provider without id tokens.
    pub jwks_uri: Option<Url>,
    /// How many public keys can be used.
    pub keys: usize,
}

impl Upstream {
    /// Prepares the connections; asks nothing yet.
    ///
    /// # Errors
    /// Why outgoing requests cannot be made, or a private key is not usable.
    pub fn new(providers: &Upstreams, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let known = providers.iter().map(Known::of);
        let providers: Vec<Known> = known.collect::<Result<_, String>>()?;
        let ids = providers.iter().map(|known| known.provider.id.clone());
        Ok(Self {
            client: Guarded::new()?,
            clock,
            by_id: ids.zip(0..).collect(),
            providers,
        })
    }

    /// Returns where the browser is sent.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the endpoints are not known.
    pub async fn authorization_url(
        &self,
        provider: &Provider,
        asked: &Authorization<'_>,
    ) -> Result<Url, Failure> {
        let metadata = self.metadata(self.known(provider)?).await?;
        authorize::url(provider, &metadata, asked)
    }

    /// Refuses an answer whose `iss` is not the issuer (RFC 9207), or that has none although the
    /// issuer promises it.
    ///
    /// # Errors
    /// [`Failure::IssuerMismatch`]; [`Failure::Unavailable`] if nothing is known of the issuer.
    pub async fn check_issuer(
        &self,
        provider: &Provider,
        iss: Option<&str>,
    ) -> Result<(), Failure> {
        let metadata = self.metadata(self.known(provider)?).await?;
        metadata.check_answer(provider, iss)
    }

    /// Exchanges the code, and returns the verified identity.
    ///
    /// # Errors
    /// As [`Failure`] says; [`Failure::InvalidIdToken`] and [`Failure::IdTokenNotSupported`] excepted.
    pub async fn redeem(
        &self,
        provider: &Provider,
        grant: &Grant<'_>,
        now: Timestamp,
    ) -> Result<Identity, Failure> {
        let known = self.known(provider)?;
        let metadata = self.metadata(known).await?;
        let secret = known.secret(&metadata, now)?;
        let secret = secret.as_ref().map(|secret| secret.as_str());
        let asking = self.asking(provider);
        let issued = exchange::redeem(asking, &metadata, secret, grant).await?;
        let scopes = issued.scopes.unwrap_or_else(|| provider.scopes.clone());
        if !provider.has_id_tokens() {
            return github::identity(asking, &issued.access_token, scopes).await;
        }
        let token = issued
            .id_token
            .ok_or_else(|| Failure::NoUserInfo("the provider issued no id token".into()))?;
        let expected = Expected {
            issuer: &metadata.issuer,
            clients: &[&provider.client_id],
            nonce: Nonce::Is(grant.nonce),
        };
        let token = self.verified(known, &token, &expected, now).await?;
        let token = token.map_err(|rejected| Failure::NoUserInfo(rejected.to_string()))?;
        let userinfo = userinfo::ask(asking, &metadata, &token, &issued.access_token).await?;
        let beside = Beside {
            userinfo,
            first_user: grant.first_user,
            scopes,
        };
        claims::identity(provider, &token, beside)
    }

    /// Verifies an id token that the client has got by itself. Nothing is asked of the user beside it.
    /// If the token has a nonce, the client must say it, and the other way round.
    ///
    /// # Errors
    /// As [`Failure`] says; [`Failure::InvalidIdToken`] and [`Failure::IdTokenNotSupported`].
    pub async fn verify(
        &self,
        provider: &Provider,
        native: &NativeToken<'_>,
        now: Timestamp,
    ) -> Result<Identity, Failure> {
        if !provider.has_id_tokens() {
            return Err(Failure::IdTokenNotSupported);
        }
        let known = self.known(provider)?;
        let metadata = self.metadata(known).await?;
        let clients: Vec<&str> = provider.all_client_ids().collect();
        let expected = Expected {
            issuer: &metadata.issuer,
            clients: &clients,
            nonce: match native.nonce {
                None => Nonce::None,
                Some(nonce) if provider.kind == Kind::Apple => Nonce::IsOrHash(nonce),
                Some(nonce) => Nonce::Is(nonce),
            },
        };
        let token = self.verified(known, native.token, &expected, now).await?;
        let token = token.map_err(|rejected| Failure::InvalidIdToken(rejected.to_string()))?;
        claims::identity(provider, &token, Beside::default())
    }

    /// Fetches of every provider what is due, for a background job. Returns the providers that could
    /// not be asked, each with the reason; what was known of them stays.
    pub async fn refresh(&self) -> Vec<(ProviderId, Failure)> {
        let refreshed = self.providers.iter().map(|known| async move {
            let asking = self.asking(&known.provider);
            let outcome = known.cached.refresh(asking, &*self.clock).await;
            let failure = outcome.err()?;
            Some((known.provider.id.clone(), failure))
        });
        join_all(refreshed).await.into_iter().flatten().collect()
    }

    /// Asks a provider now, and returns what it says of itself; nothing is kept.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub async fn check(&self, provider: &Provider) -> Result<Found, Failure> {
        let asking = self.asking(provider);
        let (metadata, _) = cached::discover(asking).await?;
        let keys = if metadata.jwks_uri.is_some() {
            cached::fetch_keys(asking, &metadata).await?.0.len()
        } else {
            0
        };
        Ok(Found {
            issuer: metadata.issuer,
            authorization_endpoint: metadata.authorization_endpoint,
            token_endpoint: metadata.token_endpoint,
            userinfo_endpoint: metadata.userinfo_endpoint,
            jwks_uri: metadata.jwks_uri,
            keys,
        })
    }

    fn known(&self, provider: &Provider) -> Result<&Known, Failure> {
        let known = self.by_id.get(&provider.id).map(|at| &self.providers[*at]);
        known.ok_or_else(|| Failure::Unavailable("it is not in the settings".into()))
    }

    fn asking<'a>(&'a self, provider: &'a Provider) -> Asking<'a> {
        Asking {
            client: &self.client,
            provider,
        }
    }

    async fn metadata(&self, known: &Known) -> Result<Arc<Metadata>, Failure> {
        let asking = self.asking(&known.provider);
        known.cached.metadata(asking, &*self.clock).await
    }

    /// Verifies an id token by the keys of its issuer.
    async fn verified(
        &self,
        known: &Known,
        token: &str,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<Result<IdToken, Rejected>, Failure> {
        let verify = |keys: &IssuerKeys| id_token::verify(token, keys, expected, now);
        let asking = self.asking(&known.provider);
        known.cached.verified(asking, &*self.clock, verify).await
    }
}

impl Known {
    fn of(provider: &Arc<Provider>) -> Result<Self, String> {
        let signer = match &provider.secret {
            ClientSecret::Apple {
                team_id,
                key_id,
                key,
            } => {
                let signer = ClientSecretSigner::new(&key.0, key_id, team_id);
                Some(signer.map_err(|error| format!("{}.key_file: {error}", provider.id))?)
            }
            ClientSecret::None | ClientSecret::Text(_) => None,
        };
        Ok(Self {
            provider: Arc::clone(provider),
            cached: Cached::default(),
            signer,
        })
    }

    /// Returns the client's secret; for Apple one is signed.
    fn secret(
        &self,
        metadata: &Metadata,
        now: Timestamp,
    ) -> Result<Option<Zeroizing<String>>, Failure> {
        match (&self.provider.secret, &self.signer) {
            (ClientSecret::Text(secret), _) => Ok(Some(secret.0.clone())),
            (_, Some(signer)) => {
                let secret = signer.sign(&self.provider.client_id, &metadata.issuer, now);
                let failed = || Failure::Unavailable("the client secret cannot be signed".into());
                secret.ok_or_else(failed).map(Some)
            }
            (_, None) => Ok(None),
        }
    }
}
