//! The second step of a sign-in: a code for a sign-in that waits for one. Trying it costs one of the
//! tries of the sign-in before anything is compared; a right one is used up, ends the pending
//! sign-in and opens the session in one transaction.

use std::sync::Arc;

use crate::app::App;
use crate::flows::key::current_keys::with_current_keys;
use crate::flows::limit::known_device::Device;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::clearance;
use crate::flows::session::open_session::{Options, PendingSession, SessionTokens};
use crate::flows::session::presented::Presented;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{Decision, Steps};
use crate::store::login::challenges::{Challenge, Charge};
use crate::store::{self, WriteOptions};

use super::challenge::{self, TRIES};
use super::completion::{Outcome, Step};
pub use super::factor_code::Code;
use super::factor_code::{self, Place, RightCode};
use super::learn_language::{is_another, learn_language};
use super::refused_code;
use super::remembered_device;
pub use super::remembered_device::Remembered;

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

/// What a right code has brought.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub enum Verified {
    /// The sign-in is done.
    Done(Completed),
    /// It waits for another step.
    More(Waiting),
}

/// Returns what the pending sign-in of one of these secrets waits for, without using anything up.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if there is none, or not any more.
pub async fn look(app: &App, secrets: &[&str]) -> Result<Waiting> {
    let challenge = challenge::find(app, secrets).await?;
    let user = challenge::user_of(app, &challenge.evidence).await?.user;
    match clearance::decide_now(app, &user, &challenge.evidence).await? {
        Decision::Ask(steps) => Ok(Waiting {
            steps,
            expires_at: challenge.expires_at,
        }),
        Decision::Open(_) | Decision::Refuse(_) => Err(Error::InvalidTwoFactorCookie),
    }
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
) -> Result<Verified> {
    let outcome = attempt(app, secrets, code, remember, presented, requester);
    let outcome = Box::pin(outcome).await;
    app.metrics.login_step(
        code.method(),
        match &outcome {
            Ok(Verified::Done(_)) => "success",
            Ok(Verified::More(_)) => "next_step",
            Err(Error::TooManyAttempts | Error::Limited(_)) => "limited",
            Err(
                Error::InvalidTwoFactorCookie | Error::OtpHasExpired | Error::ChallengeNotFound,
            ) => "no_challenge",
            Err(error) if refused_code::is_wrong(error) => "wrong_code",
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
) -> Result<Verified> {
    let challenge = challenge::find(app, secrets).await?;
    let known = challenge::user_of(app, &challenge.evidence).await?;
    let user = &known.user;
    let device = presented
        .devices
        .iter()
        .filter_map(|token| Device::open(app, token))
        // A device becomes known by a new password, too; only a session shows that it has passed the
        // second step.
        .find(|device| device.is_known_to(user) && device.session().is_some());
    let place = if device.is_some() {
        Place::KnownDevice(challenge.id)
    } else {
        Place::UnknownDevice(challenge.id)
    };
    let device_id = device.as_ref().map(Device::id);
    let charges = if let Code::Password(_) = code {
        RateLimitCheck::password(app, &user.email, presented.devices, requester).await?
    } else {
        RateLimitCheck::second_factor(app, user.id, device_id, requester)
    };
    charges.consume(app).await?;
    charge(app, challenge.id).await?;
    let checked = factor_code::check(app, user.id, code, place, requester).await;
    let done = match checked {
        Ok(right) => {
            let completed = complete(app, &challenge, &right, requester).await;
            refused_code::settle(app, &right, completed).await
        }
        Err(error) => Err(error),
    };
    let (user, tokens) = match done {
        Ok(Completion::Done(user, tokens)) => (user, tokens),
        Ok(Completion::More(steps)) => {
            charges.reset_after(app).await;
            return Ok(Verified::More(Waiting {
                steps,
                expires_at: challenge.expires_at,
            }));
        }
        // A code that was used before comes to light only in the transaction that uses it up.
        Err(error) if refused_code::is_wrong(&error) => {
            return Err(refused_code::refused(app, user.id, error, place, requester).await);
        }
        // No code was mailed, or its time is over: nothing was guessed.
        Err(error) if refused_code::is_void(&error) => {
            refund(app, challenge.id).await;
            charges.give_back(app).await;
            return Err(error);
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
    Ok(Verified::Done(Completed {
        user,
        tokens,
        remembered,
    }))
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

/// How far a right code leads.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
enum Completion {
    Done(User, SessionTokens),
    More(Steps),
}

/// Uses the code up, and opens the session or goes on to the next step.
async fn complete(
    app: &App,
    challenge: &Challenge,
    right: &RightCode,
    requester: &Requester,
) -> Result<Completion> {
    let options = Options {
        delivery: challenge.delivery,
        remember: challenge.remember,
        retry: challenge.retry,
    };
    let outcome = with_current_keys(app, || async {
        let user = challenge::user_of(app, &challenge.evidence).await?.user;
        let opening = PendingSession::prepare(app, &user, options, requester)?;
        let step = Step {
            opening: match challenge::link(app, challenge)? {
                Some(link) => opening.by_upstream(link),
                None => opening,
            },
            challenge: challenge.clone(),
            right: right.clone(),
            policies: Arc::clone(&app.config.policies),
            notify: app.config.mail.notify_new_sign_in,
        };
        app.transaction(requester, tx!(tx => Box::pin(step.run(tx)).await))
            .await
    })
    .await
    .map_err(|error| match error {
        // The identity that began the sign-in was linked to another user meanwhile.
        Error::SocialAccountAlreadyLinked => Error::InvalidTwoFactorCookie,
        error => error,
    })?;
    Ok(match outcome {
        Outcome::Open(opening, user, beginning) => {
            let tokens = opening.grant(app, &user, beginning).await?;
            Completion::Done(user, tokens)
        }
        Outcome::Ask(steps) => Completion::More(steps),
    })
}
