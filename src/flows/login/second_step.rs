//! The second step of a sign-in: a code for a sign-in that waits for one. Trying it costs one of the
//! tries of the sign-in before anything is compared; a right one is used up, ends the pending
//! sign-in and opens the session in one transaction.

use crate::app::App;
use crate::flows::key::current_keys::with_current_keys;
use crate::flows::limit::known_device::Device;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::clearance;
use crate::flows::session::open_session::{Beginning, Options, PendingSession, SessionTokens};
use crate::flows::session::presented::Presented;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{Decision, Evidence, Steps};
use crate::model::login::policy::Policy;
use crate::store::account::users::WithPassword;
use crate::store::login::challenges::{Challenge, Charge};
use crate::store::{self, WriteOptions, work};

use super::challenge::{self, TRIES};
pub use super::factor_code::Code;
use super::factor_code::{self, Place, RightCode};
use super::learn_language::{is_another, learn_language};
pub use super::remembered_device::Remembered;
use super::{new_device, remembered_device};

/// What a pending sign-in waits for.
pub struct Waiting {
    /// What the gate asks for.
    pub steps: Steps,
    /// When it can no longer be finished.
    pub expires_at: Timestamp,
}

/// A sign-in that is done.
pub struct Completed {
    /// The user who has signed in.
    pub user: User,
    /// The tokens of the session.
    pub tokens: SessionTokens,
    /// The token of a device that is to be remembered.
    pub remembered: Option<Remembered>,
}

/// Returns what the pending sign-in of one of these secrets waits for, without using anything up.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if there is none, or not any more.
pub async fn look(app: &App, secrets: &[&str]) -> Result<Waiting> {
    let challenge = challenge::find(app, secrets).await?;
    let user = user_of(app, &challenge.evidence).await?.user;
    match clearance::decide_now(app, &user, &challenge.evidence).await? {
        Decision::Ask(steps) => Ok(Waiting {
            steps,
            expires_at: challenge.expires_at,
        }),
        Decision::Open(_) | Decision::Refuse(_) => Err(Error::InvalidTwoFactorCookie),
    }
}

async fn user_of(app: &App, evidence: &Evidence) -> Result<WithPassword> {
    let id = evidence.user;
    app.db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?
        .ok_or(Error::InvalidTwoFactorCookie)
}

/// Tries a code for the pending sign-in of one of these secrets, and opens the session. With
/// `remember` the device is not asked for a second step for a time.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if there is no such sign-in, or not any more;
/// [`Error::TooManyAttempts`] if its tries are used up; [`Error::InvalidCode`] or
/// [`Error::InvalidBackupCode`] if the code is wrong or was used before.
pub async fn verify(
    app: &App,
    secrets: &[&str],
    code: Code<'_>,
    remember: bool,
    presented: Presented<'_>,
    requester: &Requester,
) -> Result<Completed> {
    let outcome = attempt(app, secrets, code, remember, presented, requester).await;
    app.metrics.login_step(
        code.method(),
        match &outcome {
            Ok(_) => "success",
            Err(Error::InvalidCode | Error::InvalidBackupCode) => "wrong_code",
            Err(Error::TooManyAttempts | Error::Limited(_)) => "limited",
            Err(Error::InvalidTwoFactorCookie) => "no_challenge",
            Err(_) => "error",
        },
    );
    outcome
}

async fn attempt(
    app: &App,
    secrets: &[&str],
    code: Code<'_>,
    remember: bool,
    presented: Presented<'_>,
    requester: &Requester,
) -> Result<Completed> {
    let challenge = challenge::find(app, secrets).await?;
    let known = user_of(app, &challenge.evidence).await?;
    let user = &known.user;
    let device = presented
        .devices
        .iter()
        .filter_map(|token| Device::open(app, token))
        // A device becomes known by a new password, too; only a session shows that it has passed the
        // second step.
        .find(|device| device.is_known_to(user) && device.session().is_some());
    let place = if device.is_some() {
        Place::KnownDevice
    } else {
        Place::UnknownDevice
    };
    let device_id = device.as_ref().map(Device::id);
    let charges = RateLimitCheck::second_factor(app, user.id, device_id, requester);
    charges.consume(app).await?;
    charge(app, challenge.id).await?;
    let checked = factor_code::check(app, user.id, code, place).await;
    let done = match checked {
        Ok(right) => complete(app, &challenge, right, requester).await,
        Err(error) => Err(error),
    };
    let (user, tokens) = match done {
        Ok(done) => done,
        // A code that was used before comes to light only in the transaction that uses it up.
        Err(error @ (Error::InvalidCode | Error::InvalidBackupCode)) => {
            return Err(factor_code::refused(app, user.id, error, place, requester).await);
        }
        Err(error) => {
            refund(app, challenge.id).await;
            return charges.refund_if_not_evaluated(app, Err(error)).await;
        }
    };
    // From here on nothing is lost by an error: the session has begun.
    charges.reset_after(app).await;
    // The second factor shows that it is the user, on a new device as well.
    if is_another(app, known.language.as_deref(), requester) {
        learn_language(app, user.id, requester).await;
    }
    let remembered = if remember {
        remembered_device::make(app, &user)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "a device was not remembered");
                None
            })
    } else {
        None
    };
    Ok(Completed {
        user,
        tokens,
        remembered,
    })
}

/// Charges one of the tries of a pending sign-in; committed before anything is compared.
async fn charge(app: &App, id: EventId) -> Result<()> {
    let work = tx!(tx => {
        Ok(store::login::challenges::charge(tx.conn, id, TRIES).await?)
    });
    let charge = app
        .transaction_with(WriteOptions::STEPS, &Requester::named("service"), work)
        .await?;
    match charge {
        Charge::Counted => Ok(()),
        Charge::UsedUp => Err(Error::TooManyAttempts),
        Charge::Ended => Err(Error::InvalidTwoFactorCookie),
    }
}

/// Gives back the try of a code that was compared with nothing.
async fn refund(app: &App, id: EventId) {
    let work = tx!(tx => Ok(store::login::challenges::refund(tx.conn, id).await?));
    // If the database is unavailable, the try stays charged, and nothing else can be done.
    drop(
        app.transaction_with(WriteOptions::STATEMENT, &Requester::named("service"), work)
            .await,
    );
}

/// Uses the code and the pending sign-in up, and opens the session.
async fn complete(
    app: &App,
    challenge: &Challenge,
    right: RightCode,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    let options = Options {
        delivery: challenge.delivery,
        remember: challenge.remember,
        retry: challenge.retry,
    };
    let (opening, user, beginning) = with_current_keys(app, || async {
        let user = user_of(app, &challenge.evidence).await?.user;
        let completion = Completion {
            opening: PendingSession::prepare(app, &user, options, requester)?,
            challenge: challenge.clone(),
            right,
            policy: app.config.sign_in_policy,
            notify: app.config.mail.notify_new_sign_in,
        };
        app.transaction(requester, tx!(tx => completion.run(tx).await))
            .await
    })
    .await?;
    let tokens = opening.grant(app, &user, beginning).await?;
    Ok((user, tokens))
}

#[derive(Clone)]
struct Completion {
    opening: PendingSession,
    challenge: Challenge,
    right: RightCode,
    policy: Policy,
    /// Whether the user gets a mail about a device that was not seen before.
    notify: bool,
}

impl Completion {
    /// Locks in the order account, user, challenge, factor, session.
    async fn run(self, tx: &mut Tx<'_>) -> Result<(PendingSession, User, Beginning)> {
        let evidence = &self.challenge.evidence;
        store::account::user_changes::lock_account(tx.conn, evidence.user).await?;
        let user = store::account::user_changes::lock(tx.conn, evidence.user)
            .await?
            .ok_or(Error::InvalidTwoFactorCookie)?;
        let proven = Evidence {
            proofs: evidence.proofs.and(self.right.proof(), tx.now()),
            ..*evidence
        };
        // Before the code is used up: the last recovery code is still one here.
        let decision = clearance::decide_in(tx, &user, &proven, self.policy).await?;
        // Of two requests with one code, as of a double click, the second one is told that the
        // sign-in is over, and not that the code is wrong.
        if !store::login::challenges::end(tx.conn, self.challenge.id).await? {
            return Err(Error::InvalidTwoFactorCookie);
        }
        self.right.take(tx, &user).await?;
        let cleared = match clearance::cleared(decision) {
            // The password, the email address or a factor was changed meanwhile.
            Err(Error::Unauthorized) => return Err(Error::InvalidTwoFactorCookie),
            cleared => cleared?,
        };
        let is_new = self.notify && new_device::is_new(tx, &user).await?;
        let beginning = self
            .opening
            .insert(tx, &cleared, None)
            .await?
            .ok_or(Error::InvalidTwoFactorCookie)?;
        if is_new {
            new_device::notify(tx, &user).await?;
        }
        Ok((self.opening, user, beginning))
    }
}
