//! Codes of authenticator apps and recovery codes: whether one is right, and what a wrong one leaves
//! behind. A right code is used up in the transaction that acts on it.

use serde_json::Map;

use crate::app::App;
use crate::crypto::totp::TotpSecret;
use crate::crypto::{email_code, recovery_code};
use crate::flows::key::inspect_keys;
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::login::email_code::{CodePurpose, TRIES_OF_ASKER};
use crate::model::login::gate::Steps;
use crate::model::login::proof::Proof;
use crate::model::mail::Template;
use crate::store::login::totp::Stored;
use crate::store::{self, work};

use super::new_passkey::{self, NewPasskey, Registration};
use super::own_code;
use super::passkey_answer::{self, Answer, RightPasskey};
use super::password_step;

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
    /// A code that was sent to the mailbox for this step.
    Mailed(&'c str),
    /// The password, where the sign-in began with a passkey.
    Password(&'c str),
    /// A use of a passkey.
    Passkey(Answer<'c>),
    /// A passkey that was made in this pending sign-in.
    NewPasskey(Registration<'c>),
}

impl Code<'_> {
    /// Returns the name of the method in metrics.
    pub(in crate::flows) fn method(self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Recovery(_) => "recovery_code",
            Self::Mailed(_) => "email_code",
            Self::Password(_) => "password",
            Self::Passkey(_) | Self::NewPasskey(_) => "passkey",
        }
    }
}

/// Where a code is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flows) enum Place {
    /// At the second step of this pending sign-in, on a device that passed it before.
    KnownDevice(EventId),
    /// At the second step of this pending sign-in, on any other device.
    UnknownDevice(EventId),
    /// In a live session.
    Session,
}

impl Place {
    fn challenge(self) -> Option<EventId> {
        match self {
            Self::KnownDevice(id) | Self::UnknownDevice(id) => Some(id),
            Self::Session => None,
        }
    }
}

/// A proof that is right: a code that has to be used up, or a password.
#[derive(Debug, Clone)]
pub(in crate::flows) enum RightCode {
    /// The time step of a code of the authenticator app.
    Totp(i64),
    /// The hash of a recovery code; only the database can tell whether the user has it.
    Recovery([u8; 32]),
    /// The row of a code that was sent to the mailbox.
    Mailed(EventId),
    /// The password, which was compared while `users.login_epoch` had this value.
    Password {
        /// It rises when the password changes.
        epoch: i64,
    },
    /// The first code of an authenticator app that was made in this pending sign-in.
    First {
        /// The sealed secret of the app.
        jwe: String,
        /// The time step of the code.
        step: i64,
    },
    /// A use of a passkey.
    Passkey(RightPasskey),
    /// A passkey that was just made.
    NewPasskey(Box<NewPasskey>),
}

impl RightCode {
    /// Returns what the code proves in a sign-in that waits for these steps. A code in a mail proves the
    /// mailbox where that has to be proven before anything else, and is a second step elsewhere.
    pub(in crate::flows) fn proof(&self, asked: Steps) -> Proof {
        match self {
            Self::Totp(_) | Self::First { .. } => Proof::Totp,
            Self::Recovery(_) => Proof::RecoveryCode,
            Self::Mailed(_) if asked.contains(Steps::MAILBOX) => Proof::Mailbox,
            Self::Mailed(_) => Proof::MailedCode,
            Self::Password { .. } => Proof::Password,
            Self::Passkey(right) => right.proof(),
            Self::NewPasskey(new) => new.proof(),
        }
    }

    /// Returns the steps that the code is good for.
    pub(in crate::flows) fn steps(&self) -> Steps {
        match self {
            Self::Totp(_) => Steps::TOTP,
            Self::Recovery(_) => Steps::RECOVERY_CODE,
            Self::Mailed(_) => Steps::MAILED_CODE | Steps::MAILBOX,
            Self::Password { .. } => Steps::PASSWORD,
            Self::First { .. } => Steps::ENROL_TOTP,
            Self::Passkey(right) => right.steps(),
            Self::NewPasskey(_) => Steps::ENROL_PASSKEY,
        }
    }

    /// Uses the code up. The user's row is locked.
    ///
    /// # Errors
    /// [`Error::InvalidCode`] or [`Error::InvalidBackupCode`] if it was used before,
    /// [`Error::OtpHasExpired`] if a mailed one was used or replaced meanwhile.
    pub(in crate::flows) async fn take(&self, tx: &mut Tx<'_>, user: &User) -> Result<()> {
        let now = tx.now();
        match self {
            Self::First { jwe, step } => {
                if !store::login::totp::confirm(tx.conn, user.id, jwe, *step, now).await? {
                    return Err(Error::InvalidCode);
                }
                store::login::factors::set_two_step(tx.conn, user.id, true, now).await?;
                let how = detail([("factor", "totp".into())]);
                tx.record(Kind::FactorEnrolled, Some(user.id), None, how)
                    .await?;
                tx.queue_notice(Template::FactorEnrolled, user, Map::new())
                    .await?;
            }
            Self::Totp(step) => {
                if !store::login::totp::accept(tx.conn, user.id, *step).await? {
                    return Err(Error::InvalidCode);
                }
            }
            Self::Recovery(hash) => {
                if !store::login::recovery_codes::take(tx.conn, user.id, hash).await? {
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
            Self::Mailed(id) => {
                if !store::login::codes::end(tx.conn, *id, now).await? {
                    return Err(Error::OtpHasExpired);
                }
            }
            Self::Password { epoch } => {
                if user.login_epoch != *epoch {
                    return Err(Error::InvalidPassword);
                }
            }
            Self::Passkey(right) => right.take(tx).await?,
            Self::NewPasskey(new) => new.take(tx, user).await?,
        }
        Ok(())
    }

    /// Returns the error for a code of another kind than is asked for.
    pub(super) fn not_asked(&self) -> Error {
        match self {
            Self::Recovery(_) => Error::InvalidBackupCode,
            Self::Passkey(_) => Error::AuthenticationFailed,
            Self::NewPasskey(_) => Error::InsufficientAuthentication,
            Self::Password { .. } => Error::InvalidPassword,
            Self::Totp(_) | Self::Mailed(_) | Self::First { .. } => Error::InvalidCode,
        }
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

/// Compares a code with the authenticator app of a user, or with the code that was mailed for this
/// step; a recovery code is only hashed. The caller counts a wrong one (`refused_code`).
///
/// # Errors
/// [`Error::InvalidCode`]; [`Error::TotpNotEnabled`] without a confirmed authenticator app;
/// [`Error::OtpHasExpired`] if no code was mailed, or its time is over; [`Error::InvalidPassword`].
pub(in crate::flows) async fn check(
    app: &App,
    user: UserId,
    code: Code<'_>,
    place: Place,
    requester: &Requester,
) -> Result<RightCode> {
    let typed = match code {
        Code::Recovery(typed) => {
            return Ok(RightCode::Recovery(recovery_code::hash(user, typed)));
        }
        Code::Mailed(typed) => return mailed(app, user, typed, place).await,
        Code::Password(typed) => {
            let epoch = password_step::check(app, user, typed, requester).await?;
            return Ok(RightCode::Password { epoch });
        }
        Code::Passkey(answer) => {
            let right = passkey_answer::check(app, answer, Some(user)).await?;
            return Ok(RightCode::Passkey(right));
        }
        Code::NewPasskey(made) => {
            let new = new_passkey::check(app, user, made).await?;
            // One that the browser made without its user proves nothing here.
            if new.conditional {
                return Err(Error::ChallengeNotFound);
            }
            return Ok(RightCode::NewPasskey(Box::new(new)));
        }
        Code::Totp(typed) => typed,
    };
    let stored = stored(app, user).await?.ok_or(Error::TotpNotEnabled)?;
    if stored.confirmed_at.is_none() {
        return first(app, user, typed, &stored, place);
    }
    let is_closed = match place {
        Place::KnownDevice(_) => false,
        Place::UnknownDevice(_) => stored.failures >= CLOSED,
        Place::Session => stored.step_up_failures >= CLOSED,
    };
    open(app, user, &stored)?
        .step_of(typed, app.now())
        .filter(|_| !is_closed)
        .map(RightCode::Totp)
        .ok_or(Error::InvalidCode)
}

/// Compares the first code of an authenticator app, which only the pending sign-in can confirm that has
/// made it.
fn first(app: &App, user: UserId, typed: &str, stored: &Stored, place: Place) -> Result<RightCode> {
    let challenge = place.challenge().map(|id| id.to_string());
    if challenge.as_deref() != Some(stored.session.as_str()) {
        return Err(Error::TotpNotEnabled);
    }
    let step = open(app, user, stored)?.step_of(typed, app.now());
    let step = step.ok_or(Error::InvalidCode)?;
    let jwe = stored.secret_jwe.clone();
    Ok(RightCode::First { jwe, step })
}

/// Compares a code with the one that was mailed for this step; a try of it is counted before.
async fn mailed(app: &App, user: UserId, typed: &str, place: Place) -> Result<RightCode> {
    let challenge = place.challenge();
    let found = own_code::count(app, CodePurpose::SecondStep, user, challenge).await?;
    let found = found.ok_or(Error::OtpHasExpired)?;
    if found.of_asker >= TRIES_OF_ASKER {
        return Err(Error::TooManyAttempts);
    }
    let ring = inspect_keys::loaded(app)?;
    if email_code::matches(&found.code, typed, &ring.masters) {
        Ok(RightCode::Mailed(found.code.id))
    } else {
        Err(Error::InvalidCode)
    }
}
