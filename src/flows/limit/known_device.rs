//! Devices that have signed in to an account before. Guesses of strangers at the account do not
//! delay them, and a link that proves the mailbox works in their browser without a password. A
//! device is bound to the user and to the user's `login_epoch`: a new password or email address
//! ends it. It also names the session with which it was given, so that a later sign-in in the same
//! browser shows which session that browser has left.

use std::time::Duration;

use crate::app::App;
use crate::crypto;
use crate::crypto::cookie::{self, Purpose};
use crate::model::account::email::Email;
use crate::model::account::user::User;
use crate::model::kernel::id::{SessionId, UserId};
use crate::random;
use crate::store::{self, work};

use crate::flows::Result;

const KIND: &str = "device";

/// How long a device is known at an account.
pub const LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// A device whose token was signed by this service and has not expired. Only the user's row shows
/// whether its epoch is still current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    user: UserId,
    epoch: i64,
    id: String,
}

impl Device {
    /// Opens the value of the cookie or of `deviceToken`; returns `None` if it is invalid or too
    /// old.
    pub fn open(app: &App, signed: &str) -> Option<Self> {
        let ring = app.ring()?;
        let value = cookie::open(Purpose::KnownDevice, signed, &ring.masters)?;
        // The id of the user may contain colons; what follows it does not.
        let mut parts = value.strip_prefix(KIND)?.strip_prefix(':')?.rsplitn(4, ':');
        let issued_at: i64 = parts.next()?.parse().ok()?;
        let id = parts.next()?.to_owned();
        let epoch = parts.next()?.parse().ok()?;
        let user = parts.next()?.parse().ok()?;
        // A token of a clock that was ahead counts as new.
        let age = app.now().seconds().saturating_sub(issued_at).max(0);
        let lives = age.unsigned_abs() < LIFETIME.as_secs();
        lives.then_some(Self { user, epoch, id })
    }

    /// Returns the session with which the token was given; `None` if there was none.
    pub(in crate::flows) fn session(&self) -> Option<SessionId> {
        self.id.parse().ok()
    }

    /// Returns its id, by which attempts from it are counted.
    pub(in crate::flows) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the user whom it was given to.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Returns whether both are of the same user and epoch.
    pub fn is_as_good_as(&self, other: &Self) -> bool {
        (self.user, self.epoch) == (other.user, other.epoch)
    }

    /// Returns whether it is known at the account of this row.
    pub fn is_known_to(&self, user: &User) -> bool {
        self.user == user.id && self.epoch == user.login_epoch
    }
}

/// Makes a new token for a device of this user: the value of the cookie, and `deviceToken` of a
/// native client. `session` is the session of the device; after a sign-up without a sign-in there
/// is none.
pub fn token(app: &App, user: &User, session: Option<SessionId>) -> Option<String> {
    let ring = app.ring()?;
    let id = session.map_or_else(
        || crypto::encode(&random::bytes::<16>(&*app.random)),
        |session| session.to_string(),
    );
    Some(cookie::sign(
        Purpose::KnownDevice,
        &format!(
            "{KIND}:{}:{}:{id}:{}",
            user.id,
            user.login_epoch,
            app.now().seconds()
        ),
        &ring.masters,
    ))
}

/// Returns the id of the device among `tokens` that is known at the account of this email address.
/// The database is only asked if a token is valid.
pub(in crate::flows) async fn known(
    app: &App,
    tokens: &[&str],
    email: &Email,
) -> Result<Option<String>> {
    let devices: Vec<Device> = tokens
        .iter()
        .filter_map(|token| Device::open(app, token))
        .collect();
    if devices.is_empty() {
        return Ok(None);
    }
    let email = email.clone();
    let user = app
        .db
        .read(work!(conn => store::account::users::by_email(conn, &email).await))
        .await?;
    Ok(user.and_then(|known| {
        devices
            .into_iter()
            .find(|device| device.is_known_to(&known.user))
            .map(|device| device.id)
    }))
}
