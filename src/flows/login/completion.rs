//! The transaction of a second step: the right code is used up together with the end of the pending
//! sign-in and the session, or with the row that waits for another step.

use std::sync::Arc;

use crate::flows::session::clearance;
use crate::flows::session::end_session::end;
use crate::flows::session::open_session::{Beginning, PendingSession};
use crate::flows::transaction::Tx;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::login::gate::{Decision, Evidence, Steps};
use crate::model::login::policies::Policies;
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::login::challenges::Challenge;
use crate::store::session::endings::Which;

use super::factor_code::RightCode;
use super::new_device;

#[derive(Clone)]
pub(super) struct Step {
    pub(super) opening: PendingSession,
    pub(super) challenge: Challenge,
    pub(super) right: RightCode,
    pub(super) policies: Arc<Policies>,
    /// Whether the user gets a mail about a device that was not seen before.
    pub(super) notify: bool,
}

/// How far a committed step leads.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub(super) enum Outcome {
    /// The session has begun.
    Open(PendingSession, User, Beginning),
    /// One of these steps comes next.
    Ask(Steps),
}

impl Step {
    /// Locks in the order account, user, challenge, factor, session.
    pub(super) async fn run(self, tx: &mut Tx<'_>) -> Result<Outcome> {
        let before = self.challenge.evidence;
        store::account::user_changes::lock_account(tx.conn, before.user).await?;
        let user = store::account::user_changes::lock(tx.conn, before.user)
            .await?
            .ok_or(Error::InvalidTwoFactorCookie)?;
        let asked = match clearance::decide_in(tx, &user, &before, &self.policies).await? {
            Decision::Ask(steps) => steps,
            // Nothing more is needed meanwhile, or something was changed.
            decision => {
                over(clearance::cleared(decision))?;
                self.right.steps()
            }
        };
        // A code of another kind than is asked for proves nothing here.
        if !asked.intersects(self.right.steps()) {
            return Err(self.right.not_asked());
        }
        let proven = Evidence {
            proofs: before.proofs.and(self.right.proof(asked), tx.now()),
            ..before
        };
        if let RightCode::First { .. } = self.right {
            return self.enrol(tx, &user, &proven).await;
        }
        // Before the code is used up: the last recovery code is still one here.
        let decision = clearance::decide_in(tx, &user, &proven, &self.policies).await?;
        if let Decision::Ask(steps) = decision
            && steps.intersects(Steps::OF_A_SIGN_IN)
        {
            if !store::login::challenges::proceed(tx.conn, self.challenge.id, &before, &proven)
                .await?
            {
                return Err(Error::InvalidTwoFactorCookie);
            }
            self.right.take(tx, &user).await?;
            return Ok(Outcome::Ask(steps));
        }
        self.end_challenge(tx).await?;
        self.right.take(tx, &user).await?;
        self.open(tx, user, decision).await
    }

    /// Ends the pending sign-in. Of two requests with one code, as of a double click, the second one
    /// is told that the sign-in is over, and not that the code is wrong.
    async fn end_challenge(&self, tx: &mut Tx<'_>) -> Result<()> {
        if store::login::challenges::end(tx.conn, self.challenge.id).await? {
            Ok(())
        } else {
            Err(Error::InvalidTwoFactorCookie)
        }
    }

    /// Confirms a first factor, which changes the user, and opens the session of the changed one. As
    /// with any new factor, the other sessions end.
    async fn enrol(self, tx: &mut Tx<'_>, user: &User, proven: &Evidence) -> Result<Outcome> {
        self.end_challenge(tx).await?;
        self.right.take(tx, user).await?;
        let all = Which::OfUser {
            user: user.id,
            except: None,
        };
        end(tx, all, RevokedReason::FactorsChanged).await?;
        let changed = store::account::user_changes::lock(tx.conn, user.id)
            .await?
            .ok_or(Error::InvalidTwoFactorCookie)?;
        let evidence = clearance::evidence(&changed, proven.proofs);
        let decision = clearance::decide_in(tx, &changed, &evidence, &self.policies).await?;
        self.open(tx, changed, decision).await
    }

    async fn open(self, tx: &mut Tx<'_>, user: User, decision: Decision) -> Result<Outcome> {
        let cleared = over(clearance::cleared(decision))?;
        let is_new = self.notify && new_device::is_new(tx, &user).await?;
        let beginning = self
            .opening
            .insert(tx, &cleared, None)
            .await?
            .ok_or(Error::InvalidTwoFactorCookie)?;
        if is_new {
            new_device::notify(tx, &user).await?;
        }
        Ok(Outcome::Open(self.opening, user, beginning))
    }
}

/// Says of a sign-in whose password, email address or factors were changed meanwhile that it is over.
fn over<T>(outcome: Result<T>) -> Result<T> {
    match outcome {
        Err(Error::Unauthorized) => Err(Error::InvalidTwoFactorCookie),
        outcome => outcome,
    }
}
