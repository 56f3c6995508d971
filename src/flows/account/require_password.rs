//! Requires new passwords, as after a leak of the database: the old password opens no session any
//! more, every session ends, and the owner of the mailbox sets a new password by a link.

use serde_json::Map;

use crate::app::App;
use crate::flows::permit::{Permitted, to};
use crate::flows::session::end_session::end;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::session::session::RevokedReason;
use crate::store::account::required_passwords;
use crate::store::session::endings::Which;
use crate::store::{self, work};

/// How many users have a password, and of how many it has to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passwords {
    /// The users who have a password.
    pub all: u64,
    /// Those of them whose password has to be replaced.
    pub required: u64,
}

/// Counts the passwords, and those that have to be replaced.
pub async fn count(app: &App, _: Permitted<'_, to::RequirePassword>) -> Result<Passwords> {
    let (all, required) = app
        .db
        .read(work!(conn => required_passwords::count(conn).await))
        .await?;
    let number = |count| u64::try_from(count).unwrap_or(0);
    Ok(Passwords {
        all: number(all),
        required: number(required),
    })
}

/// Returns whether the user's password has to be replaced; `None` if the user has no password.
///
/// # Errors
/// [`Error::UserNotFound`].
pub async fn is_required(
    app: &App,
    _: Permitted<'_, to::RequirePassword>,
    user: UserId,
) -> Result<Option<bool>> {
    let known = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, user).await))
        .await?
        .ok_or(Error::UserNotFound)?;
    Ok(known.password_hash.map(|_| known.must_replace))
}

/// Requires a new password of a user and ends every session of the user. Returns whether that
/// changed anything: it does not where the password has to be replaced already.
///
/// # Errors
/// [`Error::UserNotFound`]; [`Error::CredentialAccountNotFound`] if the user has no password.
pub async fn require_of(
    app: &App,
    _: Permitted<'_, to::RequirePassword>,
    user: UserId,
    requester: &Requester,
) -> Result<bool> {
    app.transaction(
        requester,
        tx!(tx => {
            let known = store::account::users::by_id(tx.conn, user)
                .await?
                .ok_or(Error::UserNotFound)?;
            if known.password_hash.is_none() {
                return Err(Error::CredentialAccountNotFound);
            }
            if !required_passwords::require_of(tx.conn, user).await? {
                return Ok(false);
            }
            let all = Which::OfUser { user, except: None };
            end(tx, all, RevokedReason::Revoked).await?;
            tx.record(Kind::PasswordRequired, Some(user), None, Map::new())
                .await?;
            Ok(true)
        }),
    )
    .await
}

/// Requires a new password of every user, and ends every session and every link in a mail.
pub async fn require_of_all(
    app: &App,
    _: Permitted<'_, to::RequirePassword>,
    requester: &Requester,
) -> Result<()> {
    app.transaction(
        requester,
        tx!(tx => {
            required_passwords::require_of_all(tx.conn).await?;
            end(tx, Which::Everybody, RevokedReason::Revoked).await?;
            let of = detail([("of", "everybody".into())]);
            tx.record(Kind::PasswordRequired, None, None, of).await
        }),
    )
    .await
}
