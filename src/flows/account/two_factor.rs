//! One's own second step: its state, the secret of an authenticator app, and recovery codes. A change
//! needs the password and, once there is a second factor, a proof of it that is younger than
//! `sessions.fresh_for`. `two_factor_session` has the changes that replace the session.

use std::time::Duration;

use serde_json::Map;
use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::recovery_code;
use crate::crypto::totp::TotpSecret;
use crate::flows::authenticated::Authenticated;
use crate::flows::key::inspect_keys;
use crate::flows::login::factor_code;
use crate::flows::permit::{OwnAccount, to};
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::mail::Template;
use crate::random;
use crate::store::login::totp::Stored;
use crate::store::{self, work};

use super::update_user::prove_password;

/// An authenticator app that is to be confirmed by a first code.
pub struct Enrolment {
    /// The `otpauth` URI that a QR code shows.
    pub uri: Zeroizing<String>,
    /// The secret in base32, to be typed into an app.
    pub secret: Zeroizing<String>,
    /// The recovery codes, which are shown once; empty if they were shown before.
    pub codes: Vec<Zeroizing<String>>,
    /// When it was made, which tells it from one that was begun later.
    pub made_at: Timestamp,
}

/// The second step of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Whether a second step is asked for.
    pub is_on: bool,
    /// The recovery codes that were not used yet.
    pub codes_left: i64,
    /// Whether the session may change the second step without another code.
    pub is_fresh: bool,
}

/// How long an authenticator app can be confirmed after it was made.
const CONFIRMABLE: Duration = Duration::from_secs(60 * 60);

/// The right to change one's own second factors.
pub type Own<'a> = OwnAccount<'a, to::ResetFactors>;

/// Returns the state of the second step.
pub async fn state(app: &App, who: &Authenticated) -> Result<State> {
    let user = who.user.id;
    let codes_left = app
        .db
        .read(work!(conn => store::login::recovery_codes::count(conn, user).await))
        .await?;
    Ok(State {
        is_on: who.user.two_factor,
        codes_left: if who.user.two_factor { codes_left } else { 0 },
        is_fresh: who.has_fresh_factor(app),
    })
}

/// Proves the password of the user and, if there is one, that the second factor is at hand.
pub(super) async fn prove(
    app: &App,
    own: Own<'_>,
    password: &str,
    requester: &Requester,
) -> Result<()> {
    prove_password(app, &own, password, requester)
        .await?
        .ok_or(Error::InvalidPassword)?;
    if own.has_fresh_factor(app) {
        Ok(())
    } else {
        Err(Error::SessionNotFresh)
    }
}

/// Makes a secret and recovery codes; nothing is asked for until a first code confirms them.
///
/// # Errors
/// [`Error::TotpAlreadyEnabled`] if an authenticator app is confirmed.
pub async fn begin(
    app: &App,
    own: Own<'_>,
    password: &str,
    issuer: Option<&str>,
    requester: &Requester,
) -> Result<Enrolment> {
    prove(app, own, password, requester).await?;
    let (user, session) = (own.user.id, own.session.id);
    let secret = TotpSecret::new(random::bytes(&*app.random));
    let ring = inspect_keys::loaded(app)?;
    let master = &ring.masters.current().key;
    let (jwe, master) = (secret.seal(user, master), master.id().to_owned());
    let (codes, hashes) = new_codes(app, user);
    let work = tx!(tx => {
        store::account::user_changes::lock(tx.conn, user)
            .await?
            .ok_or(Error::Unauthorized)?;
        let now = tx.now();
        if !store::login::totp::begin(tx.conn, user, &jwe, &master, session, now).await? {
            return Err(Error::TotpAlreadyEnabled);
        }
        store::login::recovery_codes::replace(tx.conn, user, &hashes).await?;
        Ok(now)
    });
    let made_at = app.transaction(requester, work).await?;
    let issuer = issuer.unwrap_or(&app.config.two_factor.issuer);
    Ok(enrolment(&own, &secret, issuer, codes, made_at))
}

fn enrolment(
    who: &Authenticated,
    secret: &TotpSecret,
    issuer: &str,
    codes: Vec<Zeroizing<String>>,
    made_at: Timestamp,
) -> Enrolment {
    Enrolment {
        uri: secret.uri(issuer, who.user.email.as_str()),
        secret: secret.base32(),
        codes,
        made_at,
    }
}

fn new_codes(app: &App, user: UserId) -> (Vec<Zeroizing<String>>, Vec<[u8; 32]>) {
    (0..recovery_code::COUNT)
        .map(|_| {
            let code = recovery_code::make(&random::bytes(&*app.random));
            let hash = recovery_code::hash(user, &code);
            (code, hash)
        })
        .unzip()
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
    Ok(Some(enrolment(
        &own,
        &secret,
        issuer,
        Vec::new(),
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
    password: &str,
    requester: &Requester,
) -> Result<Zeroizing<String>> {
    let stored = stored(app, own).await?;
    let stored = stored.ok_or(Error::TotpNotEnabled)?;
    prove_password(app, &own, password, requester)
        .await?
        .ok_or(Error::InvalidPassword)?;
    if stored.confirmed_at.is_some() {
        return Err(Error::TotpAlreadyEnabled);
    }
    let enrolment = unconfirmed(app, own).await?;
    Ok(enrolment.ok_or(Error::TotpNotEnabled)?.uri)
}

/// Replaces the recovery codes; the old ones are no longer good.
///
/// # Errors
/// [`Error::TwoFactorNotEnabled`] without a second step; [`Error::SessionNotFresh`] if the second
/// factor was proven too long ago.
pub async fn renew_codes(
    app: &App,
    own: Own<'_>,
    password: &str,
    requester: &Requester,
) -> Result<Vec<Zeroizing<String>>> {
    if !own.user.two_factor {
        return Err(Error::TwoFactorNotEnabled);
    }
    prove(app, own, password, requester).await?;
    let user = own.user.id;
    let (codes, hashes) = new_codes(app, user);
    let work = tx!(tx => {
        let user = store::account::user_changes::lock(tx.conn, user)
            .await?
            .filter(|user| user.two_factor)
            .ok_or(Error::TwoFactorNotEnabled)?;
        store::login::recovery_codes::replace(tx.conn, user.id, &hashes).await?;
        tx.record(Kind::RecoveryCodesRenewed, Some(user.id), None, Map::new())
            .await?;
        tx.queue_notice(Template::RecoveryCodesRenewed, &user, Map::new())
            .await
    });
    app.transaction(requester, work).await?;
    Ok(codes)
}
