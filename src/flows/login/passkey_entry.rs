//! The transaction of a sign-in that began with a passkey: its challenge is used up together with the
//! session, or with the row of a sign-in that waits for its second step.

use std::sync::Arc;

use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::clearance;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Beginning, PendingSession};
use crate::flows::transaction::Tx;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{Decision, Steps};
use crate::model::login::policies::Policies;
use crate::model::login::proof::{Proof, Proofs};
use crate::store;

use super::challenge::{NewChallenge, PendingSignIn};
use super::new_device;
use super::passkey_answer::RightPasskey;

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) right: RightPasskey,
    pub(super) user: User,
    /// When the second step was passed in this browser, if it is remembered.
    pub(super) remembered: Option<Timestamp>,
    pub(super) opening: PendingSession,
    pub(super) challenge: NewChallenge,
    pub(super) ending: SessionRevocation,
    /// What a sign-in is counted by if it succeeds.
    pub(super) success: RateLimitCheck,
    pub(super) policies: Arc<Policies>,
    /// Whether the user gets a mail about a device that was not seen before.
    pub(super) notify: bool,
}

/// How far a transaction has come.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub(super) enum Entered {
    /// The session has begun.
    Session(PendingSession, User, Beginning),
    /// The sign-in waits for its second step.
    Pending(PendingSignIn),
}

impl Entry {
    /// Locks in the order account, user, passkey, session.
    ///
    /// # Errors
    /// [`Error::ChallengeNotFound`] if the challenge was answered before, [`Error::PasskeyNotFound`] if the
    /// account or the passkey is gone, and the refusals of the gate.
    pub(super) async fn run(self, tx: &mut Tx<'_>) -> Result<Entered> {
        self.success.consume_within(tx).await?;
        store::account::user_changes::lock_account(tx.conn, self.user.id).await?;
        let user = store::account::user_changes::lock(tx.conn, self.user.id)
            .await?
            .ok_or(Error::PasskeyNotFound)?;
        self.right.take(tx).await?;
        let mut proofs = Proofs::of(self.right.proof(), tx.now());
        // A change of the password or of a factor forgets the browsers that were remembered.
        let is_unchanged = user.login_epoch == self.user.login_epoch;
        if let Some(since) = self.remembered.filter(|_| is_unchanged) {
            proofs = proofs.and(Proof::RememberedDevice, since);
        }
        let evidence = clearance::evidence(&user, proofs);
        match clearance::decide_in(tx, &user, &evidence, &self.policies).await? {
            // The mailbox has to be verified first, by the link of a mail.
            Decision::Ask(Steps::MAILBOX) if !user.email_verified => Err(Error::EmailNotVerified),
            // A passkey that has not verified its user wants a factor of another kind beside it.
            Decision::Ask(steps) if steps.intersects(Steps::OF_A_SIGN_IN | Steps::MAILBOX) => {
                self.ending.run(tx).await?;
                let pending = self.challenge.insert(tx, evidence, steps).await?;
                Ok(Entered::Pending(pending))
            }
            decision => {
                let cleared = clearance::cleared(decision)?;
                let is_new = self.notify && new_device::is_new(tx, &user).await?;
                let beginning = self
                    .opening
                    .insert(tx, &cleared, Some(&self.ending))
                    .await?
                    .ok_or(Error::Unauthorized)?;
                if is_new {
                    new_device::notify(tx, &user).await?;
                }
                Ok(Entered::Session(self.opening, user, beginning))
            }
        }
    }
}
