//! The password as a step of a pending sign-in that began with a passkey: whether it is right. The tries
//! of the sign-in and the limits of passwords are counted by the caller, before anything is compared.

use crate::app::App;
use crate::crypto::password::Verdict;
use crate::flows::{Error, Result};
use crate::model::account::password::Password;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;
use crate::store::{self, work};

/// Compares a password with the stored hash of the user; returns the `users.login_epoch` beside it.
///
/// # Errors
/// [`Error::InvalidPassword`] if it is wrong, or if the user has none; [`Error::NewPasswordRequired`] if it
/// is right and has to be replaced before it signs in.
pub(super) async fn check(
    app: &App,
    user: UserId,
    typed: &str,
    requester: &Requester,
) -> Result<i64> {
    let password = Password::attempt(typed, app.config.passwords.length)?;
    let known = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, user).await))
        .await?
        .ok_or(Error::InvalidTwoFactorCookie)?;
    let against = app.against(known.password_hash, &known.user.email);
    let verdict = app.hasher.verify(requester, password, against).await?;
    if verdict == Verdict::Wrong {
        return Err(Error::InvalidPassword);
    }
    if known.must_replace {
        return Err(Error::NewPasswordRequired);
    }
    Ok(known.user.login_epoch)
}
