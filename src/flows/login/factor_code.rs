//! Codes of authenticator apps and recovery codes: whether one is right, and what a wrong one leaves
//! behind. A right code is used up in the transaction that acts on it.

use crate::app::App;
use crate::crypto::recovery_code;
use crate::crypto::totp::TotpSecret;
use crate::flows::key::inspect_keys;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::login::proof::Proof;
use crate::model::mail::Template;
use crate::store::login::totp::Stored;
use crate::store::{self, work};

/// After so many wrong codes behind a right password the user gets a mail.
const TELLING: i64 = 10;

/// After so many wrong codes of sign-ins, codes of the authenticator app are refused on devices that
/// have not passed the second step before, and after so many inside sessions they are refused in
/// sessions; until a right one from elsewhere. A guesser who has the password gets no further.
const CLOSED: i64 = 100;

/// A code that a user has typed.
#[derive(Debug, Clone, Copy)]
pub enum Code<'c> {
    /// A code of the authenticator app.
    Totp(&'c str),
    /// A recovery code.
    Recovery(&'c str),
}

impl Code<'_> {
    /// Returns the name of the method in metrics.
    pub(in crate::flows) fn method(self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Recovery(_) => "recovery_code",
        }
    }
}

/// Where a code is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flows) enum Place {
    /// At the second step of a sign-in, on a device that passed it before.
    KnownDevice,
    /// At the second step of a sign-in, on any other device.
    UnknownDevice,
    /// In a live session.
    Session,
}

/// A code that is right, and has to be used up.
#[derive(Debug, Clone, Copy)]
pub(in crate::flows) enum RightCode {
    /// The time step of a code of the authenticator app.
    Totp(i64),
    /// The hash of a recovery code; only the database can tell whether the user has it.
    Recovery([u8; 32]),
}

impl RightCode {
    /// Returns what the code proves.
    pub(in crate::flows) fn proof(self) -> Proof {
        match self {
            Self::Totp(_) => Proof::Totp,
            Self::Recovery(_) => Proof::RecoveryCode,
        }
    }

    /// Uses the code up. The user's row is locked.
    ///
    /// # Errors
    /// [`Error::InvalidCode`] or [`Error::InvalidBackupCode`] if it was used before.
    pub(in crate::flows) async fn take(self, tx: &mut Tx<'_>, user: &User) -> Result<()> {
        match self {
            Self::Totp(step) => {
                if !store::login::totp::accept(tx.conn, user.id, step).await? {
                    return Err(Error::InvalidCode);
                }
            }
            Self::Recovery(hash) => {
                if !store::login::recovery_codes::take(tx.conn, user.id, &hash).await? {
                    return Err(Error::InvalidBackupCode);
                }
                store::login::totp::forgive(tx.conn, user.id).await?;
                let left = store::login::recovery_codes::count(tx.conn, user.id).await?;
                let words = detail([("left", left.into())]);
                tx.record(Kind::RecoveryCodeUsed, Some(user.id), None, words.clone())
                    .await?;
                tx.queue_notice(Template::RecoveryCodeUsed, user, words)
                    .await?;
            }
        }
        Ok(())
    }
}

/// Reads the authenticator app of a user, confirmed or not.
pub(in crate::flows) async fn stored(app: &App, user: UserId) -> Result<Option<Stored>> {
    Ok(app
        .db
        .read(work!(conn => store::login::totp::find(conn, user).await))
        .await?)
}

/// Opens the secret of an authenticator app.
///
/// # Errors
/// [`Error::Unavailable`] if it cannot be opened: then no code counts as right or as wrong.
pub(in crate::flows) fn open(app: &App, user: UserId, stored: &Stored) -> Result<TotpSecret> {
    let ring = inspect_keys::loaded(app)?;
    let masters = ring.masters.iter().map(|master| &*master.key);
    TotpSecret::open(&stored.secret_jwe, user, masters)
        .map_err(|error| Error::Unavailable(error.to_string()))
}

/// Compares a code with the authenticator app of a user; a recovery code is only hashed. The caller
/// counts a wrong one ([`refused`]).
///
/// # Errors
/// [`Error::InvalidCode`]; [`Error::TotpNotEnabled`] without a confirmed authenticator app.
pub(in crate::flows) async fn check(
    app: &App,
    user: UserId,
    code: Code<'_>,
    place: Place,
) -> Result<RightCode> {
    let typed = match code {
        Code::Recovery(typed) => {
            return Ok(RightCode::Recovery(recovery_code::hash(user, typed)));
        }
        Code::Totp(typed) => typed,
    };
    let stored = stored(app, user)
        .await?
        .filter(|stored| stored.confirmed_at.is_some())
        .ok_or(Error::TotpNotEnabled)?;
    let is_closed = match place {
        Place::KnownDevice => false,
        Place::UnknownDevice => stored.failures >= CLOSED,
        Place::Session => stored.step_up_failures >= CLOSED,
    };
    open(app, user, &stored)?
        .step_of(typed, app.now())
        .filter(|_| !is_closed)
        .map(RightCode::Totp)
        .ok_or(Error::InvalidCode)
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
    let why = detail([("reason", error.to_string().into())]);
    let work = tx!(tx => {
        tx.record(Kind::FactorRefused, Some(user), None, why).await?;
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
