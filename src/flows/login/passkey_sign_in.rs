//! Signs in with a passkey of any user. It is a first step like a password: the gate decides whether a
//! second one follows. A passkey that has verified its user needs none.

use std::sync::Arc;

use crate::app::App;
use crate::crypto::ceremony::Purpose;
use crate::flows::key::current_keys::with_current_keys;
use crate::flows::limit::rate_limit;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::carried;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Options, PendingSession};
use crate::flows::session::presented::Presented;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::session::session::RevokedReason;
use crate::store::account::users::WithPassword;
use crate::store::{self, WriteOptions, work};

use super::challenge::{self, NewChallenge};
use super::learn_language::{is_another, learn_language};
pub use super::passkey_answer::Answer;
use super::passkey_answer::{self, RightPasskey, owner, tell_of_copy};
use super::passkey_ceremony;
use super::passkey_entry::{Entered, Entry};
use super::remembered_device;
use super::sign_in::SignedIn;

/// Verifies the use of a passkey and opens a session, or the second step.
///
/// # Errors
/// [`Error::ChallengeNotFound`] if the ceremony is over, or was begun for this very user;
/// [`Error::PasskeyNotFound`] if no user has the passkey; [`Error::AuthenticationFailed`]; the refusals of
/// the gate.
pub async fn sign_in(
    app: &App,
    answer: Answer<'_>,
    options: Options,
    presented: Presented<'_>,
    requester: &Requester,
) -> Result<SignedIn> {
    let outcome = Box::pin(within_limits(app, answer, options, presented, requester)).await;
    app.metrics.sign_in_by_passkey(match &outcome {
        Ok(SignedIn::Session(..)) => "success",
        Ok(SignedIn::Pending(_)) => "second_step",
        Err(Error::AuthenticationFailed | Error::PasskeyCloned(_) | Error::ChallengeNotFound) => {
            "wrong_passkey"
        }
        Err(Error::PasskeyNotFound) => "unknown_passkey",
        Err(Error::Limited(_)) => "limited",
        Err(Error::BannedUser | Error::UserDisabled | Error::EmailNotVerified) => "shut_out",
        Err(_) => "error",
    });
    outcome
}

/// Returns whether an answer begins a sign-in of its own although its options were made for the pending
/// sign-in of one of these secrets: another user has answered. The challenge is ours and fresh, and the
/// gate asks the other user for the same as in a browser without that pending sign-in.
pub async fn begins_anew(app: &App, answer: Answer<'_>, secrets: &[&str]) -> Result<bool> {
    let ceremony = passkey_ceremony::open(app, answer.states, Purpose::Authenticate)?;
    let pending = match challenge::find(app, secrets).await {
        Ok(challenge) => challenge.evidence.user,
        Err(Error::InvalidTwoFactorCookie) => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_of_pending = ceremony.subject.is_some_and(|asked| asked.user == pending);
    let by = owner(app, answer).await;
    Ok(is_of_pending && by.is_some_and(|user| user != pending))
}

async fn within_limits(
    app: &App,
    answer: Answer<'_>,
    options: Options,
    presented: Presented<'_>,
    requester: &Requester,
) -> Result<SignedIn> {
    let charges = RateLimitCheck::passkey(app, requester);
    charges.consume(app).await?;
    let outcome = match passkey_answer::check(app, answer, None).await {
        Ok(right) => {
            let entered = enter(app, &right, options, presented, requester).await;
            right.settle(app, entered).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(signed_in) => {
            // Only this attempt: the failures of others in the same network still count.
            charges.give_back(app).await;
            Ok(signed_in)
        }
        Err(error) => {
            let error = refused(app, answer, error, requester).await;
            charges.refund_if_not_evaluated(app, Err(error)).await
        }
    }
}

/// Records a refusal that concerns a user (a power cut may lose the last records), and returns the error.
async fn refused(app: &App, answer: Answer<'_>, error: Error, requester: &Requester) -> Error {
    let is_told = matches!(
        error,
        Error::AuthenticationFailed
            | Error::PasskeyCloned(_)
            | Error::BannedUser
            | Error::UserDisabled
            | Error::EmailNotVerified
    );
    let user = if is_told {
        owner(app, answer).await
    } else {
        None
    };
    let Some(user) = user else {
        return error;
    };
    let written = if let Error::PasskeyCloned(passkey) = error {
        tell_of_copy(app, user, passkey, requester).await
    } else {
        let why = detail([("reason", error.to_string().into())]);
        let record = tx!(tx => tx.record(Kind::SignInRefused, Some(user), None, why).await);
        app.transaction_with(WriteOptions::UNSYNCED, requester, record)
            .await
    };
    written.map_or_else(|unwritten| unwritten, |()| error)
}

/// Uses the challenge up and opens a session, or the second step.
async fn enter(
    app: &App,
    right: &RightPasskey,
    options: Options,
    presented: Presented<'_>,
    requester: &Requester,
) -> Result<SignedIn> {
    let known = user(app, right.user).await?;
    let success = RateLimitCheck::success(app, &known.user.email, requester);
    success.look(app)?;
    let ending = SessionRevocation::of(
        app,
        &presented.sessions(app),
        presented.refresh,
        RevokedReason::Replaced,
    )
    .await?
    .and_left(carried::had(app, presented.devices));
    let remembered = remembered_device::since(app, presented.remembered, &known.user).await?;
    let entered = with_current_keys(app, || async {
        let entry = Entry {
            right: right.clone(),
            user: known.user.clone(),
            remembered,
            opening: PendingSession::prepare(app, &known.user, options, requester)?,
            challenge: NewChallenge::prepare(app, options),
            ending: ending.clone(),
            success: success.clone(),
            policies: Arc::clone(&app.config.policies),
            notify: app.config.mail.notify_new_sign_in,
        };
        app.transaction(requester, tx!(tx => entry.run(tx).await))
            .await
    })
    .await
    .map_err(|error| rate_limit::noted(app, error))?;
    Ok(match entered {
        Entered::Pending(pending) => SignedIn::Pending(pending),
        Entered::Session(opening, user, beginning) => {
            if is_another(app, known.language.as_deref(), requester) {
                learn_language(app, user.id, requester).await;
            }
            let tokens = opening.grant(app, &user, beginning).await?;
            SignedIn::Session(user, tokens)
        }
    })
}

/// Finds the user of a passkey.
async fn user(app: &App, id: UserId) -> Result<WithPassword> {
    app.db
        .read(work!(conn => store::account::users::by_id(conn, id).await))
        .await?
        .ok_or(Error::PasskeyNotFound)
}
