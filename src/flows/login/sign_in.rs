//! Signs in with an email address and a password. An unknown email address costs as much as a wrong
//! password and gets the same answer; what is wrong with an account is only revealed to a caller
//! who knows its password.

use std::time::Duration;

use crate::app::App;
use crate::crypto::password::{HashSlot, Verdict};
use crate::flows::key::load_keys;
use crate::flows::limit::rate_limit;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::carried;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Options, PendingSession, SessionTokens};
use crate::flows::session::presented::Presented;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::email::Email;
use crate::model::account::password::Password;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::session::session::RevokedReason;
use crate::store::account::users::WithPassword;
use crate::store::{self, WriteOptions, work};

use super::entry::Entry;
use super::learn_language::{is_another, learn_language};

/// While passwords are queued, a sign-in may wait this long to share its commit with the next ones:
/// the time of two hashes.
const BATCH_DELAY: Duration = Duration::from_millis(32);

/// Verifies a password and opens a session.
pub async fn sign_in(
    app: &App,
    email: &Email,
    password: &str,
    options: Options,
    replaces: Presented<'_>,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    let outcome = within_limits(app, email, password, options, replaces, requester).await;
    app.metrics.sign_in(match &outcome {
        Ok(_) => "success",
        Err(Error::InvalidEmailOrPassword | Error::PasswordTooLong) => "wrong_password",
        Err(Error::BannedUser | Error::UserDisabled | Error::NewPasswordRequired) => "shut_out",
        Err(Error::EmailNotVerified) => "unverified",
        Err(Error::Limited(_)) => "limited",
        Err(Error::Busy | Error::Unavailable(_) | Error::OutOfTime | Error::MasterKeyChanged) => {
            "unavailable"
        }
        Err(_) => "error",
    });
    outcome
}

async fn within_limits(
    app: &App,
    email: &Email,
    password: &str,
    options: Options,
    replaces: Presented<'_>,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    let password = Password::attempt(password, app.config.passwords.length)?;
    // If the request cannot be served anyway, nothing is written.
    let slot = app.hasher.reserve(requester)?;
    let charges = RateLimitCheck::password(app, email, replaces.devices, requester).await?;
    let success = RateLimitCheck::success(app, email, requester);
    success.look(app)?;
    charges.consume(app).await?;
    let attempt = attempt(
        app,
        slot,
        email,
        &password,
        options,
        replaces,
        &Both {
            charges: &charges,
            success: &success,
        },
        requester,
    )
    .await;
    charges.refund_if_not_evaluated(app, attempt).await
}

/// What an attempt is counted by before the password is verified, and what a successful sign-in is
/// counted by.
struct Both<'c> {
    charges: &'c RateLimitCheck,
    success: &'c RateLimitCheck,
}

#[expect(
    clippy::too_many_arguments,
    reason = "a sign-in's own story, told once"
)]
async fn attempt(
    app: &App,
    slot: HashSlot,
    email: &Email,
    password: &Password,
    options: Options,
    replaces: Presented<'_>,
    both: &Both<'_>,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    let (mut looked, mut reloaded, mut slot) = (false, false, Some(slot));
    loop {
        let slot = slot
            .take()
            .map_or_else(|| app.hasher.reserve(requester), Ok)?;
        let (known, verified, outdated) = match prove(app, slot, email, password).await? {
            Proven::Right(known, verified, outdated) => (known, verified, outdated),
            Proven::Wrong(user) => {
                return Err(refused(app, user, Error::InvalidEmailOrPassword, requester).await);
            }
        };
        if let Err(error) = refuse_shut_out(app, &known) {
            return Err(refused(app, Some(known.user.id), error, requester).await);
        }
        let learns = is_another(app, known.language.as_deref(), requester);
        let user = known.user;
        let upgraded = if outdated {
            upgrade(app, password, requester).await
        } else {
            None
        };
        let opening = PendingSession::prepare(app, &user, options, requester)?;
        let ending = SessionRevocation::of(
            app,
            &replaces.sessions(app),
            replaces.refresh,
            RevokedReason::Replaced,
        )
        .await?
        .and_left(carried::had(app, replaces.devices));
        let entry = Entry {
            user: user.clone(),
            verified,
            upgraded,
            opening,
            ending,
            notify: app.config.mail.notify_new_sign_in,
            learns,
            charges: both.charges.clone(),
            success: both.success.clone(),
        };
        let batch_delay = if app.hasher.is_saturated() {
            BATCH_DELAY
        } else {
            Duration::ZERO
        };
        let opened = app
            .transaction_with(
                WriteOptions::with_batch_delay(batch_delay),
                requester,
                tx!(tx => entry.run(tx).await),
            )
            .await;
        match opened {
            // Another process has changed the master key, and this one has not reloaded it yet.
            Err(Error::MasterKeyChanged) if !std::mem::replace(&mut reloaded, true) => {
                load_keys::reload(app).await?;
            }
            // The verified hash is not the user's any more: it was changed, or only upgraded by a
            // concurrent sign-in. Verify once more.
            Err(Error::InvalidEmailOrPassword) if !looked => looked = true,
            Err(error) => return Err(rate_limit::noted(app, error)),
            Ok(entered) => {
                both.charges.forget_refusals(app);
                if entered.learns {
                    learn_language(app, user.id, requester).await;
                }
                let grant = entered.opening.grant(app, &user, entered.ring).await?;
                return Ok((user, grant));
            }
        }
    }
}

/// Returns a new hash by the present settings; `None` if that fails: the next sign-in can do it,
/// and the password was right.
async fn upgrade(app: &App, password: &Password, requester: &Requester) -> Option<String> {
    match app.hasher.hash(requester, password.clone()).await {
        Ok(hash) => Some(hash),
        Err(error) => {
            tracing::warn!(%error, "a weaker hash could not be replaced");
            None
        }
    }
}

/// Returns the error after it was recorded in the audit trail (a power cut may lose the last
/// records), for unknown email addresses as for any other.
async fn refused(app: &App, user: Option<UserId>, error: Error, requester: &Requester) -> Error {
    let why = detail([("reason", error.to_string().into())]);
    app.transaction_with(
        WriteOptions::UNSYNCED,
        requester,
        tx!(tx => tx.record(Kind::SignInRefused, user, None, why).await),
    )
    .await
    .map_or_else(|unwritten| unwritten, |()| error)
}

/// The result of verifying a password.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
enum Proven {
    /// The user, the hash that the password was compared with, and whether it is weaker than the
    /// settings require.
    Right(WithPassword, String, bool),
    /// The password is wrong; the user is given if the email address is known.
    Wrong(Option<UserId>),
}

/// Compares a password with the stored hash of the email address.
async fn prove(app: &App, slot: HashSlot, email: &Email, password: &Password) -> Result<Proven> {
    let key = email.clone();
    let known = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &key).await))
        .await?;
    let stored = known.as_ref().and_then(|k| k.password_hash.clone());
    let verdict = app
        .hasher
        .verify_in(slot, password.clone(), stored.clone())
        .await?;
    match (known, stored, verdict) {
        (Some(known), Some(verified), Verdict::Right { outdated }) => {
            Ok(Proven::Right(known, verified, outdated))
        }
        (known, ..) => Ok(Proven::Wrong(known.map(|k| k.user.id))),
    }
}

/// Refuses a user who may not sign in although the password is right.
fn refuse_shut_out(app: &App, known: &WithPassword) -> Result<()> {
    let user = &known.user;
    if user.disabled_at.is_some() {
        return Err(Error::UserDisabled);
    }
    if user.is_banned(app.now()) {
        return Err(Error::BannedUser);
    }
    if app.config.sign_up.require_email_verification && !user.email_verified {
        Err(Error::EmailNotVerified)
    } else if known.must_replace {
        Err(Error::NewPasswordRequired)
    } else {
        Ok(())
    }
}
