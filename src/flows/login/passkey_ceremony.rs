//! A ceremony with a passkey: what a browser needs to make one or to use one, and the sealed state that
//! comes back with the answer. Nothing is written when it begins, beside the handle of the user.

use std::time::Duration;

use crate::app::App;
use crate::crypto::ceremony::{Ceremony, Purpose, Subject};
use crate::flows::key::inspect_keys;
use crate::flows::session::clearance;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::login::gate::{Decision, Steps};
use crate::model::login::passkey::{MOST, Passkey};
use crate::random;
use crate::store::{self, work};

use super::challenge;

/// How long a ceremony can be answered.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A ceremony that has begun.
pub struct Begun<O> {
    /// What the browser needs.
    pub options: O,
    /// The challenge that the authenticator signs, in base64url.
    pub challenge: String,
    /// The sealed state, for the cookie or the native client.
    pub state: String,
    /// When it can no longer be answered.
    pub expires_at: Timestamp,
}

/// What a browser needs to make a passkey.
pub struct Creation {
    /// By what the authenticator will know the user, in base64url.
    pub user_handle: String,
    /// The email address of the user.
    pub email: String,
    /// The name that is shown for the user.
    pub display_name: String,
    /// The passkeys that the user has already.
    pub exclude: Vec<Passkey>,
}

/// What a browser needs to use a passkey.
pub struct Use {
    /// The passkeys of the user; `None` if any user may sign in.
    pub allow: Option<Vec<Passkey>>,
    /// Whether only a passkey that verifies its user leads further.
    pub needs_verification: bool,
}

fn begin<O>(
    app: &App,
    purpose: Purpose,
    user: Option<&User>,
    conditional: bool,
    options: O,
) -> Result<Begun<O>> {
    let ceremony = Ceremony {
        purpose,
        challenge: random::bytes(&*app.random),
        subject: user.map(|user| Subject {
            user: user.id,
            epoch: user.login_epoch,
        }),
        conditional,
        expires_at: app.now() + LIFETIME,
    };
    let ring = inspect_keys::loaded(app)?;
    Ok(Begun {
        options,
        challenge: crate::crypto::encode(&ceremony.challenge),
        state: ceremony.seal(&ring.masters.current().key),
        expires_at: ceremony.expires_at,
    })
}

/// Begins a sign-in by a passkey of any user.
///
/// # Errors
/// [`Error::Unavailable`] while no key is loaded.
pub fn for_any_user(app: &App) -> Result<Begun<Use>> {
    let options = Use {
        allow: None,
        needs_verification: false,
    };
    begin(app, Purpose::Authenticate, None, false, options)
}

/// Begins the use of a passkey of this user.
pub(in crate::flows) async fn for_user(
    app: &App,
    user: &User,
    needs_verification: bool,
) -> Result<Begun<Use>> {
    let options = Use {
        allow: Some(passkeys(app, user.id).await?),
        needs_verification,
    };
    begin(app, Purpose::Authenticate, Some(user), false, options)
}

/// Begins the second step by a passkey, for the pending sign-in of one of these secrets.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if there is none.
pub async fn for_pending(app: &App, secrets: &[&str]) -> Result<Begun<Use>> {
    let (user, steps) = pending(app, secrets).await?;
    for_steps(app, &user, steps).await
}

/// Begins the second step by a passkey of this user, as the gate asks for it.
async fn for_steps(app: &App, user: &User, steps: Steps) -> Result<Begun<Use>> {
    let needs_verification =
        steps.contains(Steps::VERIFIED_PASSKEY) && !steps.contains(Steps::PASSKEY);
    for_user(app, user, needs_verification).await
}

/// Begins the use of a passkey in a browser: as the second step, if the pending sign-in of one of these
/// secrets waits for a passkey; otherwise by any user, who begins a sign-in.
pub async fn for_browser(app: &App, secrets: &[&str]) -> Result<Begun<Use>> {
    match pending(app, secrets).await {
        Ok((user, steps)) if steps.intersects(Steps::PASSKEY | Steps::VERIFIED_PASSKEY) => {
            for_steps(app, &user, steps).await
        }
        // The sign-in of an earlier visit is over or waits for something else, and another one begins.
        Ok(_) | Err(Error::InvalidTwoFactorCookie) => for_any_user(app),
        Err(error) => Err(error),
    }
}

/// Begins to make a passkey for the pending sign-in of one of these secrets, whose next step is an
/// enrolment.
///
/// # Errors
/// [`Error::InvalidTwoFactorCookie`] if there is none; [`Error::InsufficientAuthentication`] if
/// something else has to be proven first.
pub async fn creation_for_pending(
    app: &App,
    secrets: &[&str],
    requester: &Requester,
) -> Result<Begun<Creation>> {
    let (user, steps) = pending(app, secrets).await?;
    if !steps.contains(Steps::ENROL_PASSKEY) {
        return Err(Error::InsufficientAuthentication);
    }
    creation(app, &user, false, requester).await
}

async fn pending(app: &App, secrets: &[&str]) -> Result<(User, Steps)> {
    let challenge = challenge::find(app, secrets).await?;
    let user = challenge::user_of(app, &challenge.evidence).await?.user;
    match clearance::decide_now(app, &user, &challenge.evidence).await? {
        Decision::Ask(steps) => Ok((user, steps)),
        Decision::Open(_) | Decision::Refuse(_) => Err(Error::InvalidTwoFactorCookie),
    }
}

/// Begins to make a passkey for this user. With `conditional` the browser may make it on the word of a
/// password manager, without asking its user.
///
/// # Errors
/// [`Error::PasskeyLimitReached`] if the user has too many.
pub(in crate::flows) async fn creation(
    app: &App,
    user: &User,
    conditional: bool,
    requester: &Requester,
) -> Result<Begun<Creation>> {
    let exclude = passkeys(app, user.id).await?;
    if exclude.len() >= MOST {
        return Err(Error::PasskeyLimitReached);
    }
    let name: &str = &user.name;
    let options = Creation {
        user_handle: crate::crypto::encode(&handle(app, user.id, requester).await?),
        email: user.email.to_string(),
        display_name: if name.is_empty() {
            user.email.to_string()
        } else {
            name.to_owned()
        },
        exclude,
    };
    begin(app, Purpose::Register, Some(user), conditional, options)
}

/// Returns the handle of a user, which is drawn at the first call and stays for life.
async fn handle(app: &App, user: UserId, requester: &Requester) -> Result<Vec<u8>> {
    let find = work!(conn => store::login::passkeys::handle(conn, user).await);
    if let Some(handle) = app.db.read(find).await? {
        return Ok(handle);
    }
    let drawn = random::bytes(&*app.random);
    let work = tx!(tx => {
        store::login::passkeys::keep_handle(tx.conn, user, &drawn).await?;
        Ok(store::login::passkeys::handle(tx.conn, user).await?)
    });
    let kept = app.transaction(requester, work).await?;
    kept.ok_or(Error::Unauthorized)
}

/// Returns the passkeys of a user, oldest first.
pub(in crate::flows) async fn passkeys(app: &App, user: UserId) -> Result<Vec<Passkey>> {
    Ok(app
        .db
        .read(work!(conn => store::login::passkeys::of_user(conn, user).await))
        .await?)
}

/// Returns whether one of these states was made for a user whom the service knew then, by a session or
/// by a pending sign-in.
///
/// # Errors
/// [`Error::ChallengeNotFound`] if not one of them can be answered any more.
pub fn is_bound(app: &App, states: &[&str]) -> Result<bool> {
    open(app, states, Purpose::Authenticate).map(|ceremony| ceremony.subject.is_some())
}

/// Opens the first of these states that can still be answered.
///
/// # Errors
/// [`Error::ChallengeNotFound`] if there is none.
pub(super) fn open(app: &App, states: &[&str], purpose: Purpose) -> Result<Ceremony> {
    let ring = inspect_keys::loaded(app)?;
    let now = app.now();
    let masters = || ring.masters.iter().map(|master| &*master.key);
    states
        .iter()
        .find_map(|state| Ceremony::open(state, purpose, masters(), now))
        .ok_or(Error::ChallengeNotFound)
}

/// Refuses a ceremony that began for another user, or before the password, the email address or a factor
/// of the user was changed.
///
/// # Errors
/// [`Error::SameUserRequired`] or [`Error::ChallengeNotFound`].
pub(super) async fn require_subject(app: &App, ceremony: &Ceremony, user: UserId) -> Result<()> {
    let Some(subject) = ceremony.subject else {
        return Ok(());
    };
    if subject.user != user {
        return Err(Error::SameUserRequired);
    }
    let known = app
        .db
        .read(work!(conn => store::account::users::by_id(conn, user).await))
        .await?;
    known
        .filter(|known| known.user.login_epoch == subject.epoch)
        .map(|_| ())
        .ok_or(Error::ChallengeNotFound)
}
