//! Signing in with an address and a password. An unknown address costs what a wrong password costs
//! and gets the same answer; what is wrong with an account is told only to who knows its password.

use std::time::Duration;

use crate::app::App;
use crate::crypto::password::{HashSlot, Verdict};
use crate::crypto::token::SessionToken;
use crate::model::account::email::Email;
use crate::model::account::password::Password;
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Peer};
use crate::model::kernel::id::UserId;
use crate::model::session::session::RevokedReason;
use crate::store::account::users::WithPassword;
use crate::store::{self, WriteOptions, work};

use super::entry::Entry;
use crate::flows::audit::recorder::detail;
use crate::flows::key::load_keys;
use crate::flows::limit::rate_limit;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::session::carried;
use crate::flows::session::credential;
use crate::flows::session::end_session::SessionRevocation;
use crate::flows::session::open_session::{Options, PendingSession, SessionTokens};
use crate::flows::session::set_aside;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// While passwords queue, a sign-in may wait for the next ones to share its commit: two hashes, of
/// the many that it has waited for.
const COMPANY: Duration = Duration::from_millis(32);

/// Tokens that came with a request, and whose sessions a sign-in replaces.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presented<'r> {
    /// Values of session cookies, still signed.
    pub cookies: &'r [&'r str],
    /// Values of the cookies that hold the session of an admin who acts as another user, still
    /// signed.
    pub admin: &'r [&'r str],
    /// Refresh tokens.
    pub refresh: &'r [&'r str],
    /// Tokens of devices that are known at some account.
    pub devices: &'r [&'r str],
}

impl Presented<'_> {
    /// The session tokens inside the cookies whose signature is good.
    pub(in crate::flows) fn sessions(&self, app: &App) -> Vec<SessionToken> {
        let own = self
            .cookies
            .iter()
            .filter_map(|signed| credential::cookie_token(app, signed));
        own.chain(
            self.admin
                .iter()
                .filter_map(|signed| set_aside::admin_token(app, signed)),
        )
        .collect()
    }
}

/// Proves a password and opens a session.
pub async fn sign_in(
    app: &App,
    email: &Email,
    password: &str,
    options: Options,
    replaces: Presented<'_>,
    peer: &Peer,
) -> Result<(User, SessionTokens)> {
    let outcome = within_limits(app, email, password, options, replaces, peer).await;
    app.metrics.sign_in(match &outcome {
        Ok(_) => "success",
        Err(Error::InvalidEmailOrPassword | Error::PasswordTooLong) => "wrong_password",
        Err(Error::BannedUser | Error::UserDisabled) => "shut_out",
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
    peer: &Peer,
) -> Result<(User, SessionTokens)> {
    let password = Password::attempt(password, app.config.passwords.length)?;
    // Nothing is written for who cannot be served anyway.
    let place = app.hasher.reserve(peer)?;
    let charges = RateLimitCheck::password(app, email, replaces.devices, peer).await?;
    let success = RateLimitCheck::success(app, email, peer);
    success.look(app)?;
    charges.consume(app).await?;
    let attempt = attempt(
        app,
        place,
        email,
        &password,
        options,
        replaces,
        &Both {
            charges: &charges,
            success: &success,
        },
        peer,
    )
    .await;
    charges.refund_if_not_evaluated(app, attempt).await
}

/// What an attempt is charged with before the password is looked at, and what the sign-in that
/// comes of it is charged with.
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
    place: HashSlot,
    email: &Email,
    password: &Password,
    options: Options,
    replaces: Presented<'_>,
    both: &Both<'_>,
    peer: &Peer,
) -> Result<(User, SessionTokens)> {
    let (mut looked, mut reloaded, mut place) = (false, false, Some(place));
    loop {
        let place = place.take().map_or_else(|| app.hasher.reserve(peer), Ok)?;
        let (user, verified, outdated) = match prove(app, place, email, password).await? {
            Proven::Right(user, verified, outdated) => (user, verified, outdated),
            Proven::Wrong(user) => {
                return Err(refused(app, user, Error::InvalidEmailOrPassword, peer).await);
            }
        };
        if let Err(error) = refuse_shut_out(app, &user) {
            return Err(refused(app, Some(user.id), error, peer).await);
        }
        let upgraded = if outdated {
            upgrade(app, password, peer).await
        } else {
            None
        };
        let opening = PendingSession::prepare(app, &user, options, peer)?;
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
            charges: both.charges.clone(),
            success: both.success.clone(),
        };
        let patience = if app.hasher.is_saturated() {
            COMPANY
        } else {
            Duration::ZERO
        };
        let opened = app
            .transaction_with(
                WriteOptions::with_batch_delay(patience),
                peer,
                tx!(tx => entry.run(tx).await),
            )
            .await;
        match opened {
            // Another process has changed the master key and this one has not followed yet.
            Err(Error::MasterKeyChanged) if !std::mem::replace(&mut reloaded, true) => {
                load_keys::reload(app).await?;
            }
            // The hash that was verified is no longer the user's: changed, or only upgraded by a
            // sign-in at the same moment. Look once more.
            Err(Error::InvalidEmailOrPassword) if !looked => looked = true,
            Err(error) => return Err(rate_limit::noted(app, error)),
            Ok((opening, ring)) => {
                both.charges.forget_refusals(app);
                let grant = opening.grant(app, &user, ring).await?;
                return Ok((user, grant));
            }
        }
    }
}

/// A hash as the settings ask for it; `None` where that fails: the next sign-in will do, and the
/// password was right.
async fn upgrade(app: &App, password: &Password, peer: &Peer) -> Option<String> {
    match app.hasher.hash(peer, password.clone()).await {
        Ok(hash) => Some(hash),
        Err(error) => {
            tracing::warn!(%error, "a weaker hash was left as it is");
            None
        }
    }
}

/// The refusal, once it stands in the audit trail (a power cut may forget the last ones): for an
/// address that nobody has as for any other.
async fn refused(app: &App, user: Option<UserId>, error: Error, peer: &Peer) -> Error {
    let why = detail([("reason", error.to_string().into())]);
    app.transaction_with(
        WriteOptions::UNSYNCED,
        peer,
        tx!(tx => tx.record(Kind::SignInRefused, user, None, why).await),
    )
    .await
    .map_or_else(|unwritten| unwritten, |()| error)
}

/// What came of a password.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
enum Proven {
    /// The user, the hash that the password was compared with, and whether that is weaker than the
    /// settings ask for.
    Right(User, String, bool),
    /// It is wrong; whose it would be, if the address is known.
    Wrong(Option<UserId>),
}

/// Compares a password with the stored hash of the address.
async fn prove(app: &App, place: HashSlot, email: &Email, password: &Password) -> Result<Proven> {
    let key = email.clone();
    let known = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &key).await))
        .await?;
    let stored = known.as_ref().and_then(|k| k.password_hash.clone());
    let verdict = app
        .hasher
        .verify_in(place, password.clone(), stored)
        .await?;
    match (known, verdict) {
        (
            Some(WithPassword {
                user,
                password_hash: Some(verified),
            }),
            Verdict::Right { outdated },
        ) => Ok(Proven::Right(user, verified, outdated)),
        (known, _) => Ok(Proven::Wrong(known.map(|k| k.user.id))),
    }
}

fn refuse_shut_out(app: &App, user: &User) -> Result<()> {
    if user.disabled_at.is_some() {
        return Err(Error::UserDisabled);
    }
    if user.is_banned(app.now()) {
        return Err(Error::BannedUser);
    }
    if app.config.sign_up.require_email_verification && !user.email_verified {
        Err(Error::EmailNotVerified)
    } else {
        Ok(())
    }
}
