//! The word of an issuer that a user is no longer signed in there, as a logout token.

use super::failure::Failure;
use super::{Upstream, claims};
use crate::config::upstream::Provider;
use crate::crypto::id_token::{Expected, Nonce};
use crate::crypto::issuer_keys::IssuerKeys;
use crate::crypto::logout_token;
use crate::model::federation::logout::Logout;
use crate::model::kernel::time::Timestamp;

impl Upstream {
    /// Verifies a logout token, and returns what it ends. Whether it was used before is not known here.
    ///
    /// # Errors
    /// [`Failure::InvalidIdToken`], [`Failure::IdTokenNotSupported`], [`Failure::Unavailable`].
    pub async fn verify_logout(
        &self,
        provider: &Provider,
        token: &str,
        now: Timestamp,
    ) -> Result<Logout, Failure> {
        if !provider.has_id_tokens() {
            return Err(Failure::IdTokenNotSupported);
        }
        let known = self.known(provider)?;
        let metadata = self.metadata(known).await?;
        let clients: Vec<&str> = provider.all_client_ids().collect();
        let expected = Expected {
            issuer: &metadata.issuer,
            clients: &clients,
            nonce: Nonce::None,
        };
        let verify = |keys: &IssuerKeys| logout_token::verify(token, keys, &expected, now);
        let asking = self.asking(provider);
        let token = known.cached.verified(asking, &*self.clock, verify).await?;
        let token = token.map_err(|rejected| Failure::InvalidIdToken(rejected.to_string()))?;
        claims::logout(provider, token)
    }
}
