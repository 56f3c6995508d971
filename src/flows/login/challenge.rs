//! A sign-in that waits for its second step: a row in the database, and a secret that only the client
//! which began it holds. It is good once, for ten minutes and five tries.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::challenge::ChallengeToken;
use crate::flows::session::open_session::Options;
use crate::flows::session::upstream_link::NewLink;
use crate::flows::session::upstream_tokens::NewTokens;
use crate::flows::transaction::Tx;
use crate::flows::{Error, Result};
use crate::model::federation::pending_link::PendingLink;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{Evidence, Steps};
use crate::model::session::session::Delivery;
use crate::random;
use crate::store::account::users::WithPassword;
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
pub(in crate::flows) struct NewChallenge {
    token: ChallengeToken,
    options: Options,
    id: EventId,
    upstream: Option<PendingLink>,
    upstream_tokens: Option<String>,
}

impl NewChallenge {
    /// Draws the secret; writes nothing.
    pub(in crate::flows) fn prepare(app: &App, options: Options) -> Self {
        Self {
            token: ChallengeToken::new(random::bytes(&*app.random)),
            options,
            id: EventId::at(app.now(), random::bytes(&*app.random)),
            upstream: None,
            upstream_tokens: None,
        }
    }

    /// Keeps the identity of another issuer that began the sign-in, and its tokens: it is linked with
    /// the session.
    #[must_use]
    pub(in crate::flows) fn by_upstream(mut self, new: &NewLink) -> Self {
        self.upstream = Some(new.link.clone());
        self.upstream_tokens = new.tokens.sealed_for(self.id);
        self
    }

    /// Inserts the row of a sign-in with these proofs, which waits for one of these steps.
    pub(in crate::flows) async fn insert(
        &self,
        tx: &mut Tx<'_>,
        evidence: Evidence,
        steps: Steps,
    ) -> Result<PendingSignIn> {
        let now = tx.now();
        let row = Challenge {
            id: self.id,
            evidence,
            delivery: self.options.delivery,
            remember: self.options.remember,
            retry: self.options.retry,
            upstream: self.upstream.clone(),
            upstream_tokens: self.upstream_tokens.clone(),
            expires_at: now + LIFETIME,
        };
        store::login::challenges::insert(tx.conn, &row, &self.token.hash()).await?;
        Ok(PendingSignIn {
            challenge: self.token.expose(),
            delivery: row.delivery,
            steps,
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

/// Returns the identity that a pending sign-in links when its session opens.
///
/// # Errors
/// [`Error::Unavailable`] until the keys are loaded.
pub(super) fn link(app: &App, challenge: &Challenge) -> Result<Option<NewLink>> {
    let Some(link) = &challenge.upstream else {
        return Ok(None);
    };
    let tokens = NewTokens::of_challenge(app, challenge)?;
    Ok(Some(NewLink::later(app, link.clone()).with_tokens(tokens)))
}

/// Finds the user of a pending sign-in.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if the account is gone.
pub(super) async fn user_of(app: &App, evidence: &Evidence) -> Result<WithPassword> {
    let id = evidence.user;
    app.db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?
        .ok_or(Error::InvalidTwoFactorCookie)
}
