//! A new authenticator app, until a first code confirms it: its secret and its recovery codes, and the
//! enrolment inside a sign-in that needs a second factor of a user who has none.

use zeroize::Zeroizing;

use crate::app::App;
use crate::crypto::recovery_code;
use crate::crypto::totp::TotpSecret;
use crate::flows::key::inspect_keys;
use crate::flows::session::clearance;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{Decision, Steps};
use crate::random;
use crate::store;

use super::{challenge, factor_code};

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

/// A secret that was just made, with its recovery codes.
#[derive(Clone)]
pub(in crate::flows) struct NewSecret {
    user: UserId,
    secret: TotpSecret,
    jwe: String,
    master: String,
    codes: Vec<Zeroizing<String>>,
    hashes: Vec<[u8; 32]>,
}

impl NewSecret {
    /// Draws the secret and the codes, and seals the secret; writes nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] while no key is loaded.
    pub(in crate::flows) fn make(app: &App, user: UserId) -> Result<Self> {
        let secret = TotpSecret::new(random::bytes(&*app.random));
        let ring = inspect_keys::loaded(app)?;
        let master = &ring.masters.current().key;
        let (codes, hashes) = new_codes(app, user);
        Ok(Self {
            user,
            jwe: secret.seal(user, master),
            master: master.id().to_owned(),
            secret,
            codes,
            hashes,
        })
    }

    /// Stores them in the place of others that were not confirmed; returns when. `maker` is the id of
    /// the session or of the pending sign-in that alone can confirm them. The user's row is locked.
    ///
    /// # Errors
    /// [`Error::TotpAlreadyEnabled`] if an authenticator app is confirmed.
    pub(in crate::flows) async fn store(&self, tx: &mut Tx<'_>, maker: &str) -> Result<Timestamp> {
        let now = tx.now();
        let (jwe, master) = (&self.jwe, &self.master);
        if !store::login::totp::begin(tx.conn, self.user, jwe, master, maker, now).await? {
            return Err(Error::TotpAlreadyEnabled);
        }
        store::login::recovery_codes::replace(tx.conn, self.user, &self.hashes).await?;
        Ok(now)
    }

    /// Returns what the user sees of it, once.
    pub(in crate::flows) fn shown(
        self,
        issuer: &str,
        email: &str,
        made_at: Timestamp,
    ) -> Enrolment {
        Enrolment {
            codes: self.codes,
            ..again(&self.secret, issuer, email, made_at)
        }
    }
}

/// Returns what the user sees of a secret again, without the recovery codes.
pub(in crate::flows) fn again(
    secret: &TotpSecret,
    issuer: &str,
    email: &str,
    made_at: Timestamp,
) -> Enrolment {
    Enrolment {
        uri: secret.uri(issuer, email),
        secret: secret.base32(),
        codes: Vec::new(),
        made_at,
    }
}

/// Draws new recovery codes, with the hashes that are stored.
pub(in crate::flows) fn new_codes(
    app: &App,
    user: UserId,
) -> (Vec<Zeroizing<String>>, Vec<[u8; 32]>) {
    (0..recovery_code::COUNT)
        .map(|_| {
            let code = recovery_code::make(&random::bytes(&*app.random));
            let hash = recovery_code::hash(user, &code);
            (code, hash)
        })
        .unzip()
}

/// Makes a secret for the pending sign-in of one of these secrets, whose next step is an enrolment. Its
/// first code finishes the sign-in.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if there is no such sign-in; [`Error::InsufficientAuthentication`]
/// if something else has to be proven first.
pub async fn begin(
    app: &App,
    secrets: &[&str],
    issuer: Option<&str>,
    requester: &Requester,
) -> Result<Enrolment> {
    let challenge = challenge::find(app, secrets).await?;
    let user = challenge::user_of(app, &challenge.evidence).await?.user;
    match clearance::decide_now(app, &user, &challenge.evidence).await? {
        Decision::Ask(steps) if steps.contains(Steps::ENROL_TOTP) => {}
        Decision::Ask(_) => return Err(Error::InsufficientAuthentication),
        Decision::Open(_) | Decision::Refuse(_) => return Err(Error::InvalidTwoFactorCookie),
    }
    let new = NewSecret::make(app, user.id)?;
    let (secret, maker, id) = (new.clone(), challenge.id.to_string(), user.id);
    let work = tx!(tx => {
        store::account::user_changes::lock(tx.conn, id)
            .await?
            .ok_or(Error::InvalidTwoFactorCookie)?;
        secret.store(tx, &maker).await
    });
    let made_at = app.transaction(requester, work).await?;
    let issuer = issuer.unwrap_or(&app.config.two_factor.issuer);
    Ok(new.shown(issuer, user.email.as_str(), made_at))
}

/// Returns the secret that was made for the pending sign-in of one of these secrets, without the
/// recovery codes; `None` if there is none.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if there is no such sign-in.
pub async fn unconfirmed(app: &App, secrets: &[&str]) -> Result<Option<Enrolment>> {
    let challenge = challenge::find(app, secrets).await?;
    let user = challenge::user_of(app, &challenge.evidence).await?.user;
    let stored = factor_code::stored(app, user.id).await?;
    let maker = challenge.id.to_string();
    let own = stored.filter(|stored| stored.confirmed_at.is_none() && stored.session == maker);
    let Some(stored) = own else {
        return Ok(None);
    };
    let secret = factor_code::open(app, user.id, &stored)?;
    let (issuer, email) = (&app.config.two_factor.issuer, user.email.as_str());
    Ok(Some(again(&secret, issuer, email, stored.made_at)))
}
