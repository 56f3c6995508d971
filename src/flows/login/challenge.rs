//! A sign-in that waits for its second step: a row in the database, and a secret that only the client
//! which began it holds. It is good once, for ten minutes and five tries.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::challenge::ChallengeToken;
use crate::flows::session::open_session::Options;
use crate::flows::transaction::Tx;
use crate::flows::{Error, Result};
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{Evidence, Steps};
use crate::model::session::session::Delivery;
use crate::random;
use crate::store::login::challenges::Challenge;
use crate::store::{self, work};

/// How long a pending sign-in can be finished.
pub const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How many codes can be tried in one pending sign-in.
pub(super) const TRIES: i64 = 5;

/// A sign-in that waits for its second step, for the answer to its client.
pub struct PendingSignIn {
    /// The secret of the pending sign-in.
    pub challenge: Zeroizing<String>,
    /// How the client gets the secret, and later the tokens.
    pub delivery: Delivery,
    /// What the gate asks for.
    pub steps: Steps,
    /// When it can no longer be finished.
    pub expires_at: Timestamp,
}

/// A challenge that is about to be stored.
#[derive(Clone)]
pub(super) struct NewChallenge {
    token: ChallengeToken,
    evidence: Evidence,
    options: Options,
    steps: Steps,
    id: EventId,
}

impl NewChallenge {
    pub(super) fn prepare(app: &App, evidence: Evidence, steps: Steps, options: Options) -> Self {
        Self {
            token: ChallengeToken::new(random::bytes(&*app.random)),
            evidence,
            options,
            steps,
            id: EventId::at(app.now(), random::bytes(&*app.random)),
        }
    }

    pub(super) async fn insert(&self, tx: &mut Tx<'_>) -> Result<PendingSignIn> {
        let now = tx.now();
        let row = Challenge {
            id: self.id,
            evidence: self.evidence,
            delivery: self.options.delivery,
            remember: self.options.remember,
            retry: self.options.retry,
            expires_at: now + LIFETIME,
        };
        store::login::challenges::insert(tx.conn, &row, &self.token.hash()).await?;
        Ok(PendingSignIn {
            challenge: self.token.expose(),
            delivery: row.delivery,
            steps: self.steps,
            expires_at: row.expires_at,
        })
    }
}

/// Finds the pending sign-in of one of these secrets.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if there is none.
pub(super) async fn find(app: &App, secrets: &[&str]) -> Result<Challenge> {
    let now = app.now();
    for secret in secrets {
        let Some(token) = ChallengeToken::read(secret) else {
            continue;
        };
        let hash = token.hash();
        let found = app
            .db
            .read(work!(conn => store::login::challenges::find(conn, &hash, now).await))
            .await?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(Error::InvalidTwoFactorCookie)
}
