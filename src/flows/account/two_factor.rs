//! One's own second step: its state, the secret of an authenticator app, and recovery codes. A change
//! needs the password and, once there is a second factor, a proof of it that is younger than
//! `sessions.fresh_for`. `two_factor_session` has the changes that replace the session.

use std::time::Duration;

use serde_json::Map;
use zeroize::Zeroizing;

use crate::app::App;
use crate::flows::authenticated::Authenticated;
pub use crate::flows::login::enrolment::Enrolment;
use crate::flows::login::enrolment::{self, NewSecret};
use crate::flows::login::factor_code;
use crate::flows::login::step_code;
use crate::flows::permit::{OwnAccount, to};
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::{Kind, Requester};
use crate::model::login::gate::Factors;
use crate::model::mail::Template;
use crate::store::login::totp::Stored;
use crate::store::{self, work};

use super::update_user::prove_password;

/// The second step of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Whether a second step is asked for.
    pub is_on: bool,
    /// The recovery codes that were not used yet.
    pub codes_left: i64,
    /// What the account can prove.
    pub factors: Factors,
    /// Whether the session may change the second step without another code.
    pub is_fresh: bool,
    /// Whether a code in a mail can be the second step of this user.
    pub can_mail: bool,
}

/// How long an authenticator app can be confirmed after it was made.
const CONFIRMABLE: Duration = Duration::from_secs(60 * 60);

/// The right to change one's own second factors.
pub type Own<'a> = OwnAccount<'a, to::ResetFactors>;

/// Returns the state of the second step.
pub async fn state(app: &App, who: &Authenticated) -> Result<State> {
    let user = who.user.id;
    let (codes_left, factors) = app
        .db
        .read(work!(conn => {
            let codes = store::login::recovery_codes::count(conn, user).await?;
            Ok((codes, store::login::factors::of_user(conn, user).await?))
        }))
        .await?;
    Ok(State {
        factors,
        can_mail: step_code::admit(app, &who.user).is_ok(),
        is_on: who.user.two_factor,
        codes_left: if who.user.two_factor { codes_left } else { 0 },
        is_fresh: who.has_fresh_factor(app),
    })
}

/// Proves the password of the user and, if there is one, that the second factor is at hand. A user
/// without a password needs a session with a proof that is younger than `sessions.fresh_for`.
pub(super) async fn prove(
    app: &App,
    own: Own<'_>,
    password: Option<&str>,
    requester: &Requester,
) -> Result<()> {
    prove_first(app, own, password, requester).await?;
    if own.has_fresh_factor(app) {
        Ok(())
    } else {
        Err(Error::SessionNotFresh(app.config.sessions.fresh_for))
    }
}

async fn prove_first(
    app: &App,
    own: Own<'_>,
    password: Option<&str>,
    requester: &Requester,
) -> Result<()> {
    let user = own.user.id;
    let known = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, user).await))
        .await?
        .ok_or(Error::Unauthorized)?;
    if known.password_hash.is_none() {
        return if own.has_fresh_proof(app) {
            Ok(())
        } else {
            Err(Error::SessionNotFresh(app.config.sessions.fresh_for))
        };
    }
    let password = password.ok_or(Error::InvalidPassword)?;
    prove_password(app, &own, password, requester)
        .await?
        .map(|_| ())
        .ok_or(Error::InvalidPassword)
}

/// Makes a secret and recovery codes; nothing is asked for until a first code confirms them.
///
/// # Errors
/// [`Error::TotpAlreadyEnabled`] if an authenticator app is confirmed.
pub async fn begin(
    app: &App,
    own: Own<'_>,
    password: Option<&str>,
    issuer: Option<&str>,
    requester: &Requester,
) -> Result<Enrolment> {
    prove(app, own, password, requester).await?;
    let (user, session) = (own.user.id, own.session.id);
    let new = NewSecret::make(app, user)?;
    let secret = new.clone();
    let work = tx!(tx => {
        store::account::user_changes::lock(tx.conn, user)
            .await?
            .ok_or(Error::Unauthorized)?;
        secret.store(tx, &session.to_string()).await
    });
    let made_at = app.transaction(requester, work).await?;
    let issuer = issuer.unwrap_or(&app.config.two_factor.issuer);
    Ok(new.shown(issuer, own.user.email.as_str(), made_at))
}

/// Returns the authenticator app of the user, unless it waits for a confirmation that this session
/// cannot give: only the session in which it was made can, within an hour.
pub(super) async fn stored(app: &App, own: Own<'_>) -> Result<Option<Stored>> {
    let session = own.session.id.to_string();
    let stored = factor_code::stored(app, own.user.id).await?;
    Ok(stored.filter(|stored| {
        let age = app.now().since(stored.made_at);
        stored.confirmed_at.is_some() || stored.session == session && age < CONFIRMABLE
    }))
}

/// Returns the secret that was made in this session and not confirmed yet; `None` if there is none.
pub async fn unconfirmed(app: &App, own: Own<'_>) -> Result<Option<Enrolment>> {
    let user = own.user.id;
    let stored = stored(app, own).await?;
    let Some(stored) = stored.filter(|stored| stored.confirmed_at.is_none()) else {
        return Ok(None);
    };
    let secret = factor_code::open(app, user, &stored)?;
    let issuer = &app.config.two_factor.issuer;
    let email = own.user.email.as_str();
    Ok(Some(enrolment::again(
        &secret,
        issuer,
        email,
        stored.made_at,
    )))
}

/// Returns the URI of the secret that was made and not confirmed yet, to a user who proves the
/// password.
///
/// # Errors
/// [`Error::TotpAlreadyEnabled`] once it is confirmed: a session that was stolen later must not
/// read it. [`Error::TotpNotEnabled`] if there is none.
pub async fn uri(
    app: &App,
    own: Own<'_>,
    password: Option<&str>,
    requester: &Requester,
) -> Result<Zeroizing<String>> {
    let stored = stored(app, own).await?;
    let stored = stored.ok_or(Error::TotpNotEnabled)?;
    prove_first(app, own, password, requester).await?;
    if stored.confirmed_at.is_some() {
        return Err(Error::TotpAlreadyEnabled);
    }
    let enrolment = unconfirmed(app, own).await?;
    Ok(enrolment.ok_or(Error::TotpNotEnabled)?.uri)
}

/// Replaces the recovery codes; the old ones are no longer good.
///
/// # Errors
/// [`Error::TwoFactorNotEnabled`] without an authenticator app; [`Error::SessionNotFresh`] if the second
/// factor was proven too long ago.
pub async fn renew_codes(
    app: &App,
    own: Own<'_>,
    password: Option<&str>,
    requester: &Requester,
) -> Result<Vec<Zeroizing<String>>> {
    if !own.user.two_factor {
        return Err(Error::TwoFactorNotEnabled);
    }
    prove(app, own, password, requester).await?;
    let user = own.user.id;
    let (codes, hashes) = enrolment::new_codes(app, user);
    let work = tx!(tx => {
        let user = store::account::user_changes::lock(tx.conn, user)
            .await?
            .filter(|user| user.two_factor)
            .ok_or(Error::TwoFactorNotEnabled)?;
        // They stand for a lost device: beside codes in mails alone there is none.
        let factors = store::login::factors::of_user(tx.conn, user.id).await?;
        if !factors.contains(Factors::TOTP) {
            return Err(Error::TwoFactorNotEnabled);
        }
        store::login::recovery_codes::replace(tx.conn, user.id, &hashes).await?;
        tx.record(Kind::RecoveryCodesRenewed, Some(user.id), None, Map::new())
            .await?;
        tx.queue_notice(Template::RecoveryCodesRenewed, &user, Map::new())
            .await
    });
    app.transaction(requester, work).await?;
    Ok(codes)
}
