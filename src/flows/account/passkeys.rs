//! The passkeys of one's own account: making, naming and removing them. A change needs a session whose proof, of
//! the second factor if its sign-in needs one, is younger than `sessions.fresh_for`; no password is asked
//! for. A new passkey ends no session.

use std::time::Duration;

use crate::app::App;
use crate::flows::authenticated::Authenticated;
use crate::flows::login::factor_code::RightCode;
pub use crate::flows::login::new_passkey::Registration;
use crate::flows::login::new_passkey::{self, NewPasskey};
pub use crate::flows::login::passkey_answer::Answer;
use crate::flows::login::passkey_ceremony::{self, Begun, Creation, Use};
use crate::flows::login::step_code;
use crate::flows::session::open_session::SessionTokens;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::login::gate::Factors;
use crate::model::login::level::Level;
use crate::model::login::passkey::Passkey;
use crate::model::login::proof::Proof;
use crate::model::mail::Template;
use crate::store::{self, work};

use super::two_factor::Own;
use super::two_factor_session::{self, Change};
use super::ways_in::{self, Ways};

/// What a password manager is told of the passkeys of a user.
pub struct Signals {
    /// By what authenticators know the user, in base64url; `None` before the first passkey.
    pub user_handle: Option<String>,
    /// The ids of the passkeys, in base64url.
    pub credential_ids: Vec<String>,
}

/// Refuses a session whose proofs are too old for a change of a way to sign in.
///
/// # Errors
/// [`Error::SessionNotFresh`].
fn require_fresh(app: &App, own: Own<'_>) -> Result<()> {
    if own.has_fresh_proof(app) {
        Ok(())
    } else {
        Err(Error::SessionNotFresh(app.config.sessions.fresh_for))
    }
}

/// How long after the password a browser may make a passkey without asking its user.
const AFTER_A_PASSWORD: Duration = Duration::from_secs(5 * 60);

/// Refuses a session in which the password was not proven a moment ago: it is what the password manager
/// has filled in that allows it to make a passkey.
fn require_password(app: &App, own: Own<'_>) -> Result<()> {
    let proven = own.session.proofs.at(Proof::Password);
    if proven.is_some_and(|at| app.now().since(at) < AFTER_A_PASSWORD) {
        Ok(())
    } else {
        Err(Error::SessionNotFresh(AFTER_A_PASSWORD))
    }
}

/// Returns whether the session may add and remove passkeys without another proof.
pub fn is_fresh(app: &App, own: Own<'_>) -> bool {
    require_fresh(app, own).is_ok()
}

/// Begins to make a passkey. With `conditional` the browser may make it on the word of a password
/// manager, without asking its user.
///
/// # Errors
/// [`Error::SessionNotFresh`]; [`Error::PasskeyLimitReached`] if the user has too many.
pub async fn begin(
    app: &App,
    own: Own<'_>,
    conditional: bool,
    requester: &Requester,
) -> Result<Begun<Creation>> {
    require_fresh(app, own)?;
    if conditional {
        require_password(app, own)?;
    }
    passkey_ceremony::creation(app, &own.user, conditional, requester).await
}

/// A passkey that was added, and the session that replaces the own one.
pub struct Added {
    /// The passkey that was added.
    pub passkey: Passkey,
    /// The user and the tokens of the new session; `None` if the user was not asked, which proves
    /// nothing.
    pub session: Option<(User, SessionTokens)>,
}

/// Adds a passkey that the browser has made. A new session that has proven it replaces the own one.
///
/// # Errors
/// [`Error::ChallengeNotFound`], [`Error::FailedToVerifyRegistration`], [`Error::PreviouslyRegistered`],
/// [`Error::SameUserRequired`] and [`Error::PasskeyLimitReached`].
pub async fn add(
    app: &App,
    own: Own<'_>,
    registration: Registration<'_>,
    requester: &Requester,
) -> Result<Added> {
    // The options may have been made in another session of the user.
    require_fresh(app, own)?;
    let user = own.user.id;
    let new = new_passkey::check(app, user, registration).await?;
    let id = new.credential_id().to_vec();
    let session = if new.conditional {
        store_alone(app, own, new, requester).await?;
        None
    } else {
        let change = Change::SteppedUp(RightCode::NewPasskey(Box::new(new)));
        Some(two_factor_session::replace(app, own, change, requester).await?)
    };
    let passkey = app
        .db
        .read(work!(conn => store::login::passkeys::by_credential(conn, &id).await))
        .await?
        .ok_or(Error::NoSuchPasskey)?;
    Ok(Added { passkey, session })
}

async fn store_alone(
    app: &App,
    own: Own<'_>,
    new: NewPasskey,
    requester: &Requester,
) -> Result<()> {
    let (user, epoch) = (own.user.id, own.user.login_epoch);
    let work = tx!(tx => {
        store::account::user_changes::lock_account(tx.conn, user).await?;
        // What was proven does not count after another password, a reset of factors or a ban.
        let user = store::account::user_changes::lock(tx.conn, user)
            .await?
            .filter(|user| user.login_epoch == epoch)
            .ok_or(Error::Unauthorized)?;
        new.take(tx, &user).await
    });
    app.transaction(requester, work).await
}

/// Begins the proof of a passkey in a live session.
pub async fn begin_step_up(app: &App, own: Own<'_>) -> Result<Begun<Use>> {
    let others = [
        Proof::Password,
        Proof::Mailbox,
        Proof::Upstream,
        Proof::UpstreamWithFactors,
    ];
    let is_asked = app.config.policies.of(&own.user.role).least == Level::PhishingResistant;
    let needs_verification = is_asked && !own.session.proofs.contains_any(&others);
    passkey_ceremony::for_user(app, &own.user, needs_verification).await
}

/// Returns the passkeys of the user, oldest first.
pub async fn list(app: &App, who: &Authenticated) -> Result<Vec<Passkey>> {
    passkey_ceremony::passkeys(app, who.user.id).await
}

/// Returns what a password manager is told of the passkeys of the user.
pub async fn signals(app: &App, who: &Authenticated) -> Result<Signals> {
    let user = who.user.id;
    let (handle, passkeys) = app
        .db
        .read(work!(conn => {
            let handle = store::login::passkeys::handle(conn, user).await?;
            Ok((handle, store::login::passkeys::of_user(conn, user).await?))
        }))
        .await?;
    Ok(Signals {
        user_handle: handle.map(|handle| crate::crypto::encode(&handle)),
        credential_ids: passkeys
            .iter()
            .map(|passkey| crate::crypto::encode(&passkey.credential_id))
            .collect(),
    })
}

/// Gives a passkey of the user another name.
///
/// # Errors
/// [`Error::NoSuchPasskey`] if the user has no such passkey.
pub async fn rename(
    app: &App,
    own: Own<'_>,
    id: EventId,
    name: &str,
    requester: &Requester,
) -> Result<Passkey> {
    let (user, name) = (own.user.id, name.to_owned());
    let work = tx!(tx => {
        if !store::login::passkeys::rename(tx.conn, user, id, &name).await? {
            return Err(Error::NoSuchPasskey);
        }
        let renamed = store::login::passkeys::lock(tx.conn, user, id).await?;
        renamed.ok_or(Error::NoSuchPasskey)
    });
    app.transaction(requester, work).await
}

/// Removes a passkey of the user. Pending sign-ins, known and remembered devices end, sessions go on.
/// Returns the changed user.
///
/// # Errors
/// [`Error::NoSuchPasskey`]; [`Error::SessionNotFresh`]; [`Error::LastWayIn`] if the user could not sign
/// in any more; [`Error::InsufficientAuthentication`] if the settings require more of the user than what
/// would be left.
pub async fn remove(app: &App, own: Own<'_>, id: EventId, requester: &Requester) -> Result<User> {
    let found = list(app, &own).await?;
    if !found.iter().any(|passkey| passkey.id == id) {
        return Err(Error::NoSuchPasskey);
    }
    require_fresh(app, own)?;
    let removal = Removal {
        user: own.user.id,
        session: own.session.id,
        passkey: id,
        least: app.config.policies.of(&own.user.role).least,
        ways: Ways::of(app),
        mailed_step: step_code::admit(app, &own.user).is_ok(),
    };
    app.transaction(requester, tx!(tx => removal.run(tx).await))
        .await
}

#[derive(Clone)]
struct Removal {
    user: UserId,
    session: SessionId,
    passkey: EventId,
    /// The least level that the settings require of the user.
    least: Level,
    /// The ways to sign in that the settings offer.
    ways: Ways,
    /// Whether a code in a mail can be the second step of the user.
    mailed_step: bool,
}

impl Removal {
    /// Locks in the order account, user, passkey.
    async fn run(self, tx: &mut Tx<'_>) -> Result<User> {
        store::account::user_changes::lock_account(tx.conn, self.user).await?;
        let user = store::account::user_changes::lock(tx.conn, self.user)
            .await?
            .ok_or(Error::Unauthorized)?;
        if !store::login::passkeys::remove(tx.conn, self.user, self.passkey).await? {
            return Err(Error::NoSuchPasskey);
        }
        let left = store::login::factors::of_user(tx.conn, self.user).await?;
        if !ways_in::are_left(tx, &user, &self.ways).await? {
            return Err(Error::LastWayIn);
        }
        let has_step = left.intersects(Factors::TOTP | Factors::PASSKEY) || self.mailed_step;
        let is_enough = match self.least {
            Level::One => true,
            Level::Two => has_step,
            Level::PhishingResistant => left.contains(Factors::PASSKEY),
        };
        if !is_enough {
            return Err(Error::InsufficientAuthentication);
        }
        let (is_on, now) = (user.two_factor && has_step, tx.now());
        store::login::factors::set_two_step(tx.conn, self.user, is_on, now).await?;
        let what = detail([("passkey", self.passkey.to_string().into())]);
        let (kind, session) = (Kind::PasskeyRemoved, Some(self.session));
        tx.record(kind, Some(self.user), session, what.clone())
            .await?;
        tx.queue_notice(Template::PasskeyRemoved, &user, what)
            .await?;
        store::account::user_changes::lock(tx.conn, self.user)
            .await?
            .ok_or(Error::Unauthorized)
    }
}
