//! Signs in with an email address and a password, up to the second step if the gate asks for one. An
//! unknown email address costs as much as a wrong password and gets the same answer; what is wrong
//! with an account is only revealed to a caller who knows its password.

use std::time::Duration;

use crate::app::App;
use crate::crypto::foreign::Renewal;
use crate::crypto::password::HashSlot;
use crate::flows::key::load_keys;
use crate::flows::limit::rate_limit;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::carried;
use crate::flows::session::clearance;
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
use crate::model::login::gate::{Decision, Steps};
use crate::model::login::proof::{Proof, Proofs};
use crate::model::session::session::RevokedReason;
use crate::store::WriteOptions;
use crate::store::account::users::WithPassword;

use super::challenge::NewChallenge;
pub use super::challenge::PendingSignIn;
use super::entry::{Entered, Entry, Next};
use super::learn_language::{is_another, learn_language};
use super::password_proof::{Proven, prove};
use super::remembered_device;

/// While passwords are queued, a sign-in may wait this long to share its commit with the next ones:
/// the time of two hashes.
const BATCH_DELAY: Duration = Duration::from_millis(32);

/// How far a sign-in has come.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub enum SignedIn {
    /// A session has begun.
    Session(User, SessionTokens),
    /// The second step is to be done.
    Pending(PendingSignIn),
}

/// Verifies a password and opens a session, or the second step.
pub async fn sign_in(
    app: &App,
    email: &Email,
    password: &str,
    options: Options,
    replaces: Presented<'_>,
    requester: &Requester,
) -> Result<SignedIn> {
    let outcome = within_limits(app, email, password, options, replaces, requester).await;
    app.metrics.sign_in(match &outcome {
        Ok(SignedIn::Session(..)) => "success",
        Ok(SignedIn::Pending(_)) => "second_step",
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
) -> Result<SignedIn> {
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
) -> Result<SignedIn> {
    let (mut looked, mut reloaded, mut slot) = (false, false, Some(slot));
    loop {
        let slot = slot
            .take()
            .map_or_else(|| app.hasher.reserve(requester), Ok)?;
        let (known, verified, renewal) = match prove(app, slot, email, password).await? {
            Proven::Right(known, verified, renewal) => (known, verified, renewal),
            Proven::Wrong(user) => {
                return Err(refused(app, user, Error::InvalidEmailOrPassword, requester).await);
            }
        };
        let decision = decide(app, &known.user, replaces.remembered).await?;
        if let Err(error) = admit(decision, &known) {
            return Err(refused(app, Some(known.user.id), error, requester).await);
        }
        let learns = is_another(app, known.language.as_deref(), requester);
        let user = known.user;
        let upgraded = upgrade(app, password, renewal, requester).await;
        let next = match decision {
            Decision::Open(cleared) => {
                let opening = PendingSession::prepare(app, &user, options, requester)?;
                Next::Session(opening, cleared)
            }
            Decision::Ask(steps) => {
                let proofs = Proofs::of(Proof::Password, app.now());
                let evidence = clearance::evidence(&user, proofs);
                Next::Challenge(NewChallenge::prepare(app, options), evidence, steps)
            }
            Decision::Refuse(_) => return Err(Error::InvalidEmailOrPassword),
        };
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
            next,
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
                return match entered {
                    Entered::Pending(pending) => Ok(SignedIn::Pending(pending)),
                    Entered::Session {
                        opening,
                        beginning,
                        learns,
                    } => {
                        if learns {
                            learn_language(app, user.id, requester).await;
                        }
                        let grant = opening.grant(app, &user, beginning).await?;
                        Ok(SignedIn::Session(user, grant))
                    }
                };
            }
        }
    }
}

/// Asks the gate about a right password, in a browser with these tokens of remembered devices.
async fn decide(app: &App, user: &User, remembered: &[&str]) -> Result<Decision> {
    let mut proofs = Proofs::of(Proof::Password, app.now());
    if let Some(since) = remembered_device::since(app, remembered, user).await? {
        proofs = proofs.and(Proof::RememberedDevice, since);
    }
    clearance::decide_now(app, user, &clearance::evidence(user, proofs)).await
}

/// Returns a new hash by the present settings if the stored one is to be replaced; `None` also if that
/// fails: the next sign-in can do it, and the password was right.
async fn upgrade(
    app: &App,
    password: &Password,
    renewal: Renewal,
    requester: &Requester,
) -> Option<String> {
    match app.hasher.renew(requester, password.clone(), renewal).await {
        Ok(hash) => hash,
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

/// Refuses a user who may not sign in although the password is right.
fn admit(decision: Decision, known: &WithPassword) -> Result<()> {
    match decision {
        // The mailbox has to be verified first, by the link of a mail. One that is verified is proven
        // as a step of the sign-in.
        Decision::Ask(steps) if steps == Steps::MAILBOX && !known.user.email_verified => {
            Err(Error::EmailNotVerified)
        }
        Decision::Refuse(_) => clearance::cleared(decision).map(|_| ()),
        Decision::Open(_) | Decision::Ask(_) if known.must_replace => {
            Err(Error::NewPasswordRequired)
        }
        Decision::Open(_) | Decision::Ask(_) => Ok(()),
    }
}
