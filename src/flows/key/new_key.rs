//! A key that enters the ring: its row, with the private half sealed.

use std::time::Duration;

use crate::crypto::keypair::Keypair;
use crate::crypto::master_key::MasterKey;
use crate::crypto::public_key::PublicKey;
use crate::crypto::seal;
use crate::flows::error::if_conflict;
use crate::flows::transaction::Tx;
use crate::flows::{Error, Result};
use crate::model::key::key::{Key, State};
use crate::store;
use crate::store::key::signing_keys::Stored;

/// A key that enters the ring.
pub(super) struct NewKey<'k> {
    pub(super) kid: &'k str,
    pub(super) public: &'k PublicKey,
    /// The private half; `None` for a key of another issuer.
    pub(super) private: Option<&'k Keypair>,
    pub(super) state: State,
    pub(super) origin: Origin,
}

/// Where a key was made.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    Here,
    /// Elsewhere, where its tokens lived at most so long, if the operator says so.
    Elsewhere(Option<Duration>),
}

impl NewKey<'_> {
    /// Inserts the row. `access_ttl` is the longest lifetime of the tokens of this service.
    pub(super) async fn insert(
        self,
        tx: &mut Tx<'_>,
        sealer: &MasterKey,
        access_ttl: Duration,
    ) -> Result<()> {
        let (now, state) = (tx.now(), self.state);
        // A key that is imported may have signed tokens elsewhere; their lifetime is assumed to be
        // that of this service unless the operator says how long it was.
        let max_ttl = match (self.origin, state) {
            (Origin::Elsewhere(Some(longest)), _) => longest,
            (Origin::Here, State::Standby) => Duration::ZERO,
            (Origin::Here | Origin::Elsewhere(None), _) => access_ttl,
        };
        let key = Key {
            kid: self.kid.to_owned(),
            algorithm: self.public.algorithm(),
            state,
            published_at: now,
            activated_at: (state == State::Active).then_some(now),
            retired_at: (state == State::Retired).then_some(now),
            ended_at: None,
            reason: None,
            max_ttl,
        };
        let jwe = self.private.map(|pair| seal::seal(pair, sealer));
        let stored = Stored {
            key,
            thumbprint: self.public.thumbprint(),
            public_jwk: self.public.jwk(self.kid).to_string(),
            private_jwe: jwe.transpose()?,
        };
        let was_here = Error::KeyUnusable(format!(
            "{}: a key with this kid existed before, or the same key with another kid or algorithm; neither can be used again",
            self.kid
        ));
        store::key::signing_keys::insert(tx.conn, &stored)
            .await
            .map_err(if_conflict(was_here))
    }
}
