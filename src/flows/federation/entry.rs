//! The transaction of a sign-in with an identity of another issuer: the account is found, taken back
//! from a stranger or made; then the gate decides whether a session begins or another proof is asked
//! for. The identity is linked with the session and never before, unless the account was just made.

use std::sync::Arc;

use crate::flows::error::if_conflict;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::challenge::{NewChallenge, PendingSignIn};
use crate::flows::login::new_device;
use crate::flows::session::clearance;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Beginning, PendingSession};
use crate::flows::session::upstream_link::{self, NewLink};
use crate::flows::session::upstream_tokens::NewTokens;
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::Kind;
use crate::model::federation::decide::{Entry as Decided, SignUp};
use crate::model::federation::identity::Identity;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{Decision, Steps};
use crate::model::login::policies::Policies;
use crate::model::login::proof::{Proof, Proofs};
use crate::model::mail::Purpose;
use crate::store;

use super::plan::{Plan, plan};
use crate::flows::account::claim_mailbox::{Profile, claim};

/// How far a transaction has come.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub(super) enum Next {
    /// The session has begun.
    Session(PendingSession, Beginning),
    /// The sign-in waits for its second step.
    Pending(PendingSignIn),
    /// The account was made, and its mailbox has to be verified first.
    Unverified,
}

/// A sign-in whose transaction is committed.
pub(super) struct Entered {
    pub(super) user: User,
    pub(super) is_new: bool,
    pub(super) next: Next,
}

/// What becomes of an account that is made.
#[derive(Clone)]
pub(super) struct NewAccount {
    /// Id of a row of `accounts` that is never written: the account has no password.
    pub(super) account: EventId,
    /// What it is counted by.
    pub(super) charge: RateLimitCheck,
    /// When it is deleted if the mailbox is not verified by then.
    pub(super) unproven_until: Option<Timestamp>,
    /// Where the link that verifies the mailbox leads to.
    pub(super) callback: Option<String>,
    /// Whether such a link is sent.
    pub(super) verifies: bool,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) link: NewLink,
    /// What was decided before the transaction; it has to hold in it.
    pub(super) plan: Plan,
    /// The user of the plan, or the one that is made.
    pub(super) user: User,
    pub(super) sign_up: SignUp,
    pub(super) new_account: NewAccount,
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

impl Entry {
    /// Locks in the order account, user, session.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] or [`Error::UserExists`] if the facts of the plan have changed: look once
    /// more; [`Error::SocialAccountAlreadyLinked`] if the identity was linked to another user
    /// meanwhile; the refusals of the gate, after which nothing has changed.
    pub(super) async fn run(self, tx: &mut Tx<'_>) -> Result<Entered> {
        self.success.consume_within(tx).await?;
        let is_new = matches!(self.plan.entry, Decided::SignUp { .. });
        let user = if is_new {
            self.make(tx).await?
        } else {
            self.find(tx).await?
        };
        self.enter(tx, user, is_new).await
    }

    /// Locks the account of the plan, and takes it back if a stranger may have made it.
    async fn find(&self, tx: &mut Tx<'_>) -> Result<User> {
        let id = self.user.id;
        store::account::user_changes::lock_account(tx.conn, id).await?;
        let user = store::account::user_changes::lock(tx.conn, id)
            .await?
            .ok_or(Error::Unauthorized)?;
        let link = &self.link.link;
        let again = plan(tx.conn, &self.identity, link, self.sign_up).await?;
        if again.entry != self.plan.entry {
            return Err(Error::Unauthorized);
        }
        if matches!(again.entry, Decided::Reclaim(_)) {
            let profile = if again.is_linked {
                Profile::Kept
            } else {
                Profile::Forgotten
            };
            return claim(tx, &user, None, profile).await;
        }
        Ok(user)
    }

    /// Makes the account of a new user.
    async fn make(&self, tx: &mut Tx<'_>) -> Result<User> {
        let new = &self.new_account;
        new.charge.consume_within(tx).await?;
        let link = &self.link.link;
        let again = plan(tx.conn, &self.identity, link, self.sign_up).await?;
        if again.entry != self.plan.entry {
            return Err(Error::Unauthorized);
        }
        let user = User {
            created_at: tx.now(),
            updated_at: tx.now(),
            ..self.user.clone()
        };
        store::account::users::insert(tx.conn, &user, new.account, None)
            .await
            .map_err(if_conflict(Error::UserExists))?;
        let by = detail([("provider", link.provider.as_str().into())]);
        tx.record(Kind::UserCreated, Some(user.id), None, by)
            .await?;
        tx.learn_language(user.id).await?;
        Ok(user)
    }

    /// Asks the gate what follows.
    async fn enter(self, tx: &mut Tx<'_>, user: User, is_new: bool) -> Result<Entered> {
        let evidence = clearance::evidence(&user, self.proofs(tx.now(), &user));
        let next = match clearance::decide_in(tx, &user, &evidence, &self.policies).await? {
            Decision::Ask(Steps::MAILBOX) if !user.email_verified => {
                if !is_new {
                    return Err(Error::EmailNotVerified);
                }
                self.ask_to_verify(tx, &user).await?;
                Next::Unverified
            }
            // Where a first factor has to be set up, the mailbox is proven before.
            Decision::Ask(steps) if steps.intersects(Steps::OF_A_SIGN_IN | Steps::MAILBOX) => {
                self.ending.run(tx).await?;
                let challenge = self.challenge.clone().by_upstream(&self.link);
                let pending = challenge.insert(tx, evidence, steps).await?;
                if is_new {
                    self.link_new(tx, &user).await?;
                }
                Next::Pending(pending)
            }
            decision => {
                let cleared = clearance::cleared(decision)?;
                let is_new_device = self.notify && new_device::is_new(tx, &user).await?;
                let opening = self.opening.by_upstream(self.link);
                let beginning = opening
                    .insert(tx, &cleared, Some(&self.ending))
                    .await?
                    .ok_or(Error::Unauthorized)?;
                if is_new_device {
                    new_device::notify(tx, &user).await?;
                }
                Next::Session(opening, beginning)
            }
        };
        Ok(Entered { user, is_new, next })
    }

    fn proofs(&self, at: Timestamp, user: &User) -> Proofs {
        let proof = if self.identity.has_factors {
            Proof::UpstreamWithFactors
        } else {
            Proof::Upstream
        };
        let proofs = Proofs::of(proof, at);
        // A reclaimed account forgets the browsers that were remembered.
        let is_unchanged = user.login_epoch == self.user.login_epoch;
        match self.remembered.filter(|_| is_unchanged) {
            Some(since) => proofs.and(Proof::RememberedDevice, since),
            None => proofs,
        }
    }

    /// Links the identity to the account that was just made. Its tokens are kept when the gate opens.
    async fn link_new(&self, tx: &mut Tx<'_>, user: &User) -> Result<()> {
        let bare = self.link.clone().with_tokens(NewTokens::Left);
        upstream_link::keep(tx, user, &bare).await?;
        Ok(())
    }

    /// Links the identity to the account that was just made, and mails the link that verifies its
    /// mailbox.
    async fn ask_to_verify(&self, tx: &mut Tx<'_>, user: &User) -> Result<()> {
        self.link_new(tx, user).await?;
        let new = &self.new_account;
        if let Some(until) = new.unproven_until {
            store::account::user_changes::expect_proof(tx.conn, user.id, until).await?;
        }
        if new.verifies {
            tx.queue_request(Purpose::VerifyEmail, &user.email, new.callback.as_deref())
                .await?;
        }
        Ok(())
    }
}
