//! What a wrong code, or a passkey that is refused, leaves behind.

use crate::app::App;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::mail::Template;
use crate::store;

use super::factor_code::{Place, RightCode};
use super::passkey_answer;

/// After so many wrong codes behind a right password the user gets a mail.
const TELLING: i64 = 10;

/// Returns whether a code, a password or a passkey was tried and is wrong.
pub(in crate::flows) fn is_wrong(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCode | Error::InvalidBackupCode | Error::InvalidPassword
    ) || is_wrong_passkey(error)
}

fn is_wrong_passkey(error: &Error) -> bool {
    matches!(
        error,
        Error::AuthenticationFailed
            | Error::PasskeyNotFound
            | Error::PasskeyCloned(_)
            | Error::SameUserRequired
    )
}

/// Returns whether nothing was guessed: what was asked for is not there any more, or a new passkey is
/// not one that is taken.
pub(in crate::flows) fn is_void(error: &Error) -> bool {
    matches!(
        error,
        Error::OtpHasExpired
            | Error::ChallengeNotFound
            | Error::FailedToVerifyRegistration
            | Error::PreviouslyRegistered
            | Error::PasskeyLimitReached
    )
}

/// Uses the challenge of a passkey up if the step was refused (`RightPasskey::settle`). Other codes are
/// bound to their sign-in, or stay good.
pub(in crate::flows) async fn settle<T>(
    app: &App,
    right: &RightCode,
    outcome: Result<T>,
) -> Result<T> {
    match right {
        RightCode::Passkey(right) => right.settle(app, outcome).await,
        _ => outcome,
    }
}

/// Counts a wrong code, records it, and tells the user after ten of them at sign-ins, where the right
/// password came before. Returns the error.
pub(in crate::flows) async fn refused(
    app: &App,
    user: UserId,
    error: Error,
    place: Place,
    requester: &Requester,
) -> Error {
    if let Error::PasskeyCloned(passkey) = error {
        let told = passkey_answer::tell_of_copy(app, user, passkey, requester).await;
        return told.map_or_else(|unwritten| unwritten, |()| error);
    }
    let why = detail([("reason", error.to_string().into())]);
    let is_code = !is_wrong_passkey(&error) && !matches!(error, Error::InvalidPassword);
    let work = tx!(tx => {
        tx.record(Kind::FactorRefused, Some(user), None, why).await?;
        // Passkeys cannot be guessed, and the guesses of passwords have limits of their own.
        if !is_code {
            return Ok(());
        }
        if place == Place::Session {
            return Ok(store::login::totp::fail_step_up(tx.conn, user).await?);
        }
        let failures = store::login::totp::fail(tx.conn, user).await?;
        if failures == Some(TELLING)
            && let Some(found) = store::account::users::by_id(tx.conn, user).await?
        {
            let what = detail([("failures", TELLING.into())]);
            tx.record(Kind::LoginGuessed, Some(user), None, what.clone()).await?;
            tx.queue_notice(Template::LoginGuessed, &found.user, what).await?;
        }
        Ok(())
    });
    app.transaction(requester, work)
        .await
        .map_or_else(|unwritten| unwritten, |()| error)
}
