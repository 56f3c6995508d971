//! The transaction of a sign-in by mail: the account is found or made, its mailbox is marked as
//! proven, and the code is used up together with the session, or the row of a sign-in that waits for
//! its second step.

use std::sync::Arc;

use serde_json::Map;

use crate::app::App;
use crate::flows::error::if_conflict;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::challenge::{NewChallenge, PendingSignIn};
use crate::flows::login::typed_code::RightCode;
use crate::flows::login::{new_device, remembered_device};
use crate::flows::session::clearance;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Beginning, Options, PendingSession};
use crate::flows::session::presented::Presented;
use crate::flows::transaction::{Committed, Tx};
use crate::flows::{Error, Result};
use crate::model::account::profile::{DisplayName, ImageUrl};
use crate::model::account::user::User;
use crate::model::audit::event::Kind;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{Decision, Steps};
use crate::model::login::policies::Policies;
use crate::model::login::proof::{Proof, Proofs};
use crate::store::{self, work};

use super::claim_mailbox::{Profile, claim};
use super::mailbox;
use super::mailbox::{Evidence, Tie};
use super::sign_up::new_user;

/// The profile of a user who signs up with a code.
#[derive(Debug, Clone, Default)]
pub struct NewProfile {
    /// Display name; that of the request for the code if it is not given.
    pub name: Option<DisplayName>,
    /// URL of a picture.
    pub image: Option<ImageUrl>,
}

/// What came with the request.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// The options that the client chose.
    pub options: Options,
    /// The tokens whose sessions the sign-in replaces.
    pub presented: Presented<'a>,
    /// What ties the browser to an account whose mailbox was never verified.
    pub evidence: Evidence<'a>,
}

/// The account of the email address before the transaction.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) user: User,
    /// Whether there is no such account yet.
    is_new: bool,
    /// What ties the browser to an account whose mailbox was never verified.
    tie: Tie,
    /// When the second step was passed in this browser, if it is remembered.
    remembered: Option<Timestamp>,
}

/// Looks the account of the email address up, or prepares a new one.
pub(super) async fn subject(
    app: &App,
    right: &RightCode,
    profile: &NewProfile,
    arrival: Arrival<'_>,
) -> Result<Subject> {
    let row = right.row();
    let email = row.email.clone();
    let known = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &email).await))
        .await?;
    let Some(known) = known else {
        let asked_with = row.name.as_deref().and_then(|name| name.parse().ok());
        let name = profile.name.clone().or(asked_with).unwrap_or_default();
        let user = new_user(app, row.email.clone(), name, profile.image.clone());
        return Ok(Subject {
            user: User {
                email_verified: true,
                ..user
            },
            is_new: true,
            tie: Tie::None,
            remembered: None,
        });
    };
    let user = known.user;
    let tie = if user.email_verified {
        Tie::None
    } else {
        mailbox::tie(app, &arrival.evidence, &user).await?
    };
    let remembered = remembered_device::since(app, arrival.presented.remembered, &user).await?;
    Ok(Subject {
        user,
        is_new: false,
        tie,
        remembered,
    })
}

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
}

/// What a committed transaction has brought.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub(super) enum Outcome {
    /// The sign-in has come this far.
    Entered(Entered),
    /// The user may not sign in, and the code and its link are used up all the same.
    Refused(Committed),
}

/// A sign-in whose transaction is committed.
pub(super) struct Entered {
    pub(super) user: User,
    pub(super) is_new: bool,
    pub(super) next: Next,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) right: RightCode,
    pub(super) subject: Subject,
    pub(super) account: EventId,
    pub(super) opening: Option<PendingSession>,
    pub(super) challenge: NewChallenge,
    pub(super) ending: SessionRevocation,
    /// What a sign-in is counted by if it succeeds.
    pub(super) success: RateLimitCheck,
    pub(super) policies: Arc<Policies>,
    /// What a new account is counted by.
    pub(super) sign_up: RateLimitCheck,
    pub(super) may_sign_up: bool,
    /// Whether the user gets a mail about a device that was not seen before.
    pub(super) notify: bool,
}

impl Entry {
    /// Locks in the order account, user, code, session.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] or [`Error::UserExists`] if the account is another one than was looked
    /// up, [`Error::InvalidOtp`] if the code was used meanwhile, and
    /// [`Error::InsufficientAuthentication`], after which the code is still good.
    pub(super) async fn run(self, tx: &mut Tx<'_>) -> Result<Outcome> {
        self.success.consume_within(tx).await?;
        let user = self.user(tx).await?;
        if !self.right.take(tx).await? {
            return Err(Error::InvalidOtp);
        }
        let entered = tx.atomic(|tx| Box::pin(self.enter(tx, user))).await;
        match entered {
            Ok(entered) => Ok(Outcome::Entered(entered)),
            // Nothing but the code is kept, so that it cannot be used again once the user is let in.
            Err(error @ (Error::BannedUser | Error::UserDisabled)) => {
                Ok(Outcome::Refused(Committed(error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Marks the mailbox as proven, and asks the gate what follows.
    async fn enter(self, tx: &mut Tx<'_>, user: User) -> Result<Entered> {
        let user = self.proven(tx, user).await?;
        let mut proofs = Proofs::of(Proof::Mailbox, tx.now());
        // A reclaimed account forgets the browsers that were remembered.
        let is_unchanged = user.login_epoch == self.subject.user.login_epoch;
        if let Some(since) = self.subject.remembered.filter(|_| is_unchanged) {
            proofs = proofs.and(Proof::RememberedDevice, since);
        }
        let evidence = clearance::evidence(&user, proofs);
        let next = match clearance::decide_in(tx, &user, &evidence, &self.policies).await? {
            Decision::Ask(steps) if steps.intersects(Steps::OF_A_SIGN_IN) => {
                self.ending.run(tx).await?;
                Next::Pending(self.challenge.insert(tx, evidence, steps).await?)
            }
            decision => {
                let cleared = clearance::cleared(decision)?;
                let opening = self
                    .opening
                    .ok_or_else(|| Error::Internal("no session was prepared".into()))?;
                let is_new_device = self.notify && new_device::is_new(tx, &user).await?;
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
        Ok(Entered {
            user,
            is_new: self.subject.is_new,
            next,
        })
    }

    /// Locks the account, or inserts a new one. The mailbox is proven with either.
    async fn user(&self, tx: &mut Tx<'_>) -> Result<User> {
        let subject = &self.subject;
        if !subject.is_new {
            store::account::user_changes::lock_account(tx.conn, subject.user.id).await?;
            return store::account::user_changes::lock(tx.conn, subject.user.id)
                .await?
                .filter(|user| user.email == subject.user.email)
                .ok_or(Error::Unauthorized);
        }
        if !self.may_sign_up {
            return Err(Error::SignUpDisabled);
        }
        self.sign_up.consume_within(tx).await?;
        let mut user = subject.user.clone();
        user.created_at = tx.now();
        user.updated_at = tx.now();
        store::account::users::insert(tx.conn, &user, self.account, None)
            .await
            .map_err(if_conflict(Error::UserExists))?;
        tx.record(Kind::UserCreated, Some(user.id), None, Map::new())
            .await?;
        tx.learn_language(user.id).await?;
        Ok(user)
    }

    /// Marks the mailbox as verified if it was not.
    async fn proven(&self, tx: &mut Tx<'_>, user: User) -> Result<User> {
        if user.email_verified {
            return Ok(user);
        }
        match &self.subject.tie {
            Tie::None => claim(tx, &user, None, Profile::Forgotten).await,
            tie => Ok(mailbox::prove(tx, &user, None, tie).await?.0),
        }
    }
}
