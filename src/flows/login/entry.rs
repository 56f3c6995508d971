//! The transaction of a sign-in whose password was right: its limits, a stronger hash, and the
//! session with the mail about a new device, or the row of a sign-in that waits for its second step.

use crate::model::account::user::User;
use crate::model::login::gate::{Cleared, Evidence, Steps};
use crate::store;

use super::challenge::{NewChallenge, PendingSignIn};
use super::new_device;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Beginning, PendingSession};
use crate::flows::transaction::Tx;
use crate::flows::{Error, Result};

/// What follows a right password, by the word of the gate.
#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub(super) enum Next {
    /// A session.
    Session(PendingSession, Cleared),
    /// One of these steps, beside these proofs.
    Challenge(NewChallenge, Evidence, Steps),
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) user: User,
    pub(super) verified: String,
    pub(super) upgraded: Option<String>,
    pub(super) next: Next,
    pub(super) ending: SessionRevocation,
    /// Whether the user gets a mail about a device that was not seen before.
    pub(super) notify: bool,
    /// Whether the request is in another language than the one that is known of the user.
    pub(super) learns: bool,
    /// What the attempt was counted by before its outcome was known.
    pub(super) charges: RateLimitCheck,
    /// What it is counted by if it succeeds.
    pub(super) success: RateLimitCheck,
}

/// A sign-in whose transaction is committed.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub(super) enum Entered {
    /// The session has begun.
    Session {
        opening: PendingSession,
        beginning: Beginning,
        /// Whether the language of the request is to be kept as the one of the user.
        learns: bool,
    },
    /// The sign-in waits for its second step.
    Pending(PendingSignIn),
}

impl Entry {
    /// Runs the transaction.
    ///
    /// # Errors
    /// [`Error::Limited`] if the email address or the network has signed in too often,
    /// [`Error::InvalidEmailOrPassword`] if what was proven has changed meanwhile.
    pub(super) async fn run(self, tx: &mut Tx<'_>) -> Result<Entered> {
        self.success.consume_within(tx).await?;
        // The upgrade comes first: otherwise two sign-ins that both lock the password and both want
        // to replace its hash would wait for each other.
        if let Some(upgraded) = &self.upgraded {
            let (user, now) = (self.user.id, tx.now());
            if !store::account::users::rehash(tx.conn, user, &self.verified, upgraded, now).await? {
                return Err(Error::InvalidEmailOrPassword);
            }
        }
        let entered = match self.next {
            Next::Session(opening, cleared) => {
                let is_new = if self.notify || self.learns {
                    new_device::is_new(tx, &self.user).await?
                } else {
                    false
                };
                let beginning = opening
                    .insert(tx, &cleared, Some(&self.ending))
                    .await?
                    .ok_or(Error::InvalidEmailOrPassword)?;
                if self.notify && is_new {
                    new_device::notify(tx, &self.user).await?;
                }
                Entered::Session {
                    opening,
                    beginning,
                    // The password alone does not tell whether the user or a thief of it signs in.
                    learns: self.learns && !is_new,
                }
            }
            Next::Challenge(challenge, evidence, steps) => {
                // The client drops the tokens of the session that it had.
                self.ending.run(tx).await?;
                Entered::Pending(challenge.insert(tx, evidence, steps).await?)
            }
        };
        self.charges.reset(tx).await?;
        Ok(entered)
    }
}
