//! Changes of one's own second step that replace the session: an authenticator app is confirmed by a
//! first code, proven again, or removed. Nothing lifts a session: a new one that ends at the same time
//! takes its place, so that a copy of the old one gains nothing.

use std::sync::Arc;

use serde_json::Map;

use crate::app::App;
use crate::flows::key::current_keys::with_current_keys;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::login::factor_code;
use crate::flows::login::factor_code::{Code, Place, RightCode};
use crate::flows::login::refused_code;
use crate::flows::login::step_code;
use crate::flows::session::clearance::clear_in;
use crate::flows::session::end_session::end;
use crate::flows::session::open_session::{Beginning, PendingSession, SessionTokens};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::login::gate::Steps;
use crate::model::login::level::Level;
use crate::model::login::policies::Policies;
use crate::model::login::proof::{Proof, Proofs};
use crate::model::mail::Template;
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::session::endings::Which;

use super::two_factor::{Own, prove, stored};

/// Confirms the authenticator app by a first code, which turns two-step sign-in on and ends the
/// other sessions; or proves a confirmed one again. A new session replaces the own one.
///
/// # Errors
/// [`Error::InvalidCode`] if the code is wrong or was used before; [`Error::TotpNotEnabled`]
/// without an authenticator app.
pub async fn confirm(
    app: &App,
    own: Own<'_>,
    code: &str,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    let user = own.user.id;
    let stored = stored(app, own).await?;
    let stored = stored.ok_or(Error::TotpNotEnabled)?;
    if stored.confirmed_at.is_some() {
        return step_up(app, own, Code::Totp(code), requester).await;
    }
    let charges = RateLimitCheck::confirmation(app, own.session.id);
    charges.consume(app).await?;
    let step = factor_code::open(app, user, &stored).map(|secret| secret.step_of(code, app.now()));
    let step = charges.refund_if_not_evaluated(app, step).await?;
    let step = step.ok_or(Error::InvalidCode)?;
    let jwe = stored.secret_jwe;
    let change = Change::Enrolled { jwe, step };
    let done = replace(app, own, change, requester).await?;
    charges.reset_after(app).await;
    Ok(done)
}

/// Proves the second factor again in a live session. A first code that was mailed turns two-step
/// sign-in on ([`begin_by_mail`]) and ends the other sessions.
///
/// # Errors
/// As [`confirm`]; [`Error::InvalidBackupCode`] for a wrong recovery code.
pub async fn step_up(
    app: &App,
    own: Own<'_>,
    code: Code<'_>,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    let user = own.user.id;
    if !own.user.two_factor {
        match code {
            Code::Totp(_) => return Err(Error::TotpNotEnabled),
            Code::Recovery(_) => return Err(Error::BackupCodesNotEnabled),
            Code::Mailed(_) => step_code::admit(app, &own.user)?,
            // A passkey is a way in by itself, with two-step sign-in or without.
            Code::Password(_) | Code::Passkey(_) | Code::NewPasskey(_) => {}
        }
    }
    let charges = RateLimitCheck::step_up(app, user);
    charges.consume(app).await?;
    let checked = factor_code::check(app, user, code, Place::Session, requester).await;
    let done = match checked {
        Ok(right) if own.user.two_factor || !matches!(code, Code::Mailed(_)) => {
            let change = Change::SteppedUp(right.clone());
            let replaced = replace(app, own, change, requester).await;
            refused_code::settle(app, &right, replaced).await
        }
        Ok(right) => replace(app, own, Change::TurnedOn(right), requester).await,
        Err(error) => Err(error),
    };
    match done {
        Err(error) if refused_code::is_wrong(&error) => {
            Err(refused_code::refused(app, user, error, Place::Session, requester).await)
        }
        Err(error @ Error::ChallengeNotFound) => {
            charges.give_back(app).await;
            Err(error)
        }
        Err(error) => charges.refund_if_not_evaluated(app, Err(error)).await,
        Ok(done) => {
            charges.reset_after(app).await;
            Ok(done)
        }
    }
}

/// Mails a first code to a user who wants codes in mails as the second step. Two-step sign-in is on
/// when that code is proven ([`step_up`]), so that a mailbox which gets no mail locks no user out.
///
/// # Errors
/// [`Error::OtpNotConfigured`] if the settings do not offer it, [`Error::EmailNotVerified`],
/// [`Error::InsufficientAuthentication`] if the password was not proven for the session, and those of a
/// wrong password.
pub async fn begin_by_mail(
    app: &App,
    own: Own<'_>,
    password: Option<&str>,
    requester: &Requester,
) -> Result<()> {
    step_code::admit(app, &own.user)?;
    prove(app, own, password, requester).await?;
    // Beside a session that the mailbox alone has opened, a code in a mail is no second factor: no younger
    // proof would help, but the password as a proof of the session.
    if !own.session.proofs.contains(Proof::Password) {
        return Err(Error::InsufficientAuthentication);
    }
    step_code::send_to(app, User::clone(&own.user), None, requester).await
}

/// Mails a code with which the second factor can be proven again.
///
/// # Errors
/// [`Error::TwoFactorNotEnabled`] without two-step sign-in: turning it on needs the password.
pub async fn send_code(app: &App, own: Own<'_>, requester: &Requester) -> Result<()> {
    step_code::admit(app, &own.user)?;
    if !own.user.two_factor {
        return Err(Error::TwoFactorNotEnabled);
    }
    step_code::send_to(app, User::clone(&own.user), None, requester).await
}

/// Removes the authenticator app and the recovery codes. A new session replaces the own one; other
/// sessions go on.
///
/// # Errors
/// [`Error::SessionNotFresh`] if the second factor was proven too long ago;
/// [`Error::InsufficientAuthentication`] if the settings require a second step of the user.
pub async fn disable(
    app: &App,
    own: Own<'_>,
    password: Option<&str>,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    prove(app, own, password, requester).await?;
    replace(app, own, Change::Removed, requester).await
}

/// Why a new session replaces the own one.
#[derive(Clone)]
pub(super) enum Change {
    /// A first code has confirmed the authenticator app.
    Enrolled { jwe: String, step: i64 },
    /// A first mailed code has turned two-step sign-in on.
    TurnedOn(RightCode),
    /// A code was proven again.
    SteppedUp(RightCode),
    /// The second step was turned off.
    Removed,
}

/// Makes the change, and replaces the own session by one that ends at the same time.
pub(super) async fn replace(
    app: &App,
    own: Own<'_>,
    change: Change,
    requester: &Requester,
) -> Result<(User, SessionTokens)> {
    let (opening, user, beginning) = with_current_keys(app, || async {
        let replacement = Replacement {
            user: own.user.id,
            session: own.session.id,
            proofs: own.session.proofs,
            change: change.clone(),
            opening: PendingSession::succeed(app, &own.session, requester)?,
            policies: Arc::clone(&app.config.policies),
        };
        app.transaction(requester, tx!(tx => replacement.run(tx).await))
            .await
    })
    .await?;
    let tokens = opening.grant(app, &user, beginning).await?;
    Ok((user, tokens))
}

#[derive(Clone)]
struct Replacement {
    user: UserId,
    session: SessionId,
    /// What was proven for the session that is replaced.
    proofs: Proofs,
    change: Change,
    opening: PendingSession,
    policies: Arc<Policies>,
}

impl Replacement {
    /// Locks in the order account, user, factor, session.
    async fn run(self, tx: &mut Tx<'_>) -> Result<(PendingSession, User, Beginning)> {
        store::account::user_changes::lock_account(tx.conn, self.user).await?;
        let user = store::account::user_changes::lock(tx.conn, self.user)
            .await?
            .ok_or(Error::Unauthorized)?;
        let proofs = self.apply(tx, &user).await?;
        // A session that has ended meanwhile has no successor.
        if end(tx, Which::One(self.session), RevokedReason::Replaced)
            .await?
            .is_empty()
        {
            return Err(Error::Unauthorized);
        }
        if matches!(self.change, Change::Enrolled { .. } | Change::TurnedOn(_)) {
            let others = Which::OfUser {
                user: self.user,
                except: None,
            };
            end(tx, others, RevokedReason::FactorsChanged).await?;
        }
        let (user, cleared) = clear_in(tx, self.user, proofs, &self.policies).await?;
        let beginning = self
            .opening
            .insert(tx, &cleared, None)
            .await?
            .ok_or(Error::Unauthorized)?;
        Ok((self.opening, user, beginning))
    }

    /// Writes the change, and returns what is proven after it.
    async fn apply(&self, tx: &mut Tx<'_>, user: &User) -> Result<Proofs> {
        let now = tx.now();
        match &self.change {
            Change::Enrolled { jwe, step } => {
                if !store::login::totp::confirm(tx.conn, user.id, jwe, *step, now).await? {
                    return Err(Error::InvalidCode);
                }
                store::login::factors::set_two_step(tx.conn, user.id, true, now).await?;
                let how = detail([("factor", "totp".into())]);
                tx.record(Kind::FactorEnrolled, Some(user.id), Some(self.session), how)
                    .await?;
                tx.queue_notice(Template::FactorEnrolled, user, Map::new())
                    .await?;
                Ok(self.proofs.and(Proof::Totp, now))
            }
            Change::TurnedOn(right) => {
                right.take(tx, user).await?;
                store::login::factors::set_two_step(tx.conn, user.id, true, now).await?;
                let how = detail([("factor", "email".into())]);
                tx.record(Kind::FactorEnrolled, Some(user.id), Some(self.session), how)
                    .await?;
                tx.queue_notice(Template::FactorEnrolled, user, Map::new())
                    .await?;
                Ok(self.proofs.and(right.proof(Steps::MAILED_CODE), now))
            }
            Change::SteppedUp(right) => {
                right.take(tx, user).await?;
                let how = detail([("proof", right.proof(Steps::MAILED_CODE).as_str().into())]);
                let (kind, session) = (Kind::SessionSteppedUp, self.opening.session());
                tx.record(kind, Some(user.id), Some(session), how).await?;
                Ok(self.proofs.and(right.proof(Steps::MAILED_CODE), now))
            }
            Change::Removed => {
                if self.policies.of(&user.role).least > Level::One {
                    return Err(Error::InsufficientAuthentication);
                }
                let scope = store::login::factors::Scope::TOTP;
                let had =
                    store::login::factors::remove(tx.conn, user.id, scope, false, now).await?;
                if had {
                    let how = detail([("factor", "totp".into())]);
                    tx.record(Kind::FactorRemoved, Some(user.id), Some(self.session), how)
                        .await?;
                    tx.queue_notice(Template::FactorRemoved, user, Map::new())
                        .await?;
                }
                Ok(self.proofs)
            }
        }
    }
}
