//! Devices that have signed in to an account before. What a stranger guesses at the account does
//! not hold them up, and a link that proves the mailbox counts in their browser without a password.
//! A device is bound to the user and to the user's `login_epoch`: a new password or address ends
//! it. It also names the session with which it was given, so that a later sign-in in the same
//! browser tells which session that browser has left.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::app::App;
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

/// A device whose token was signed by us and is in its time. Whether the user's epoch is still its
/// own only the user's row can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    user: UserId,
    epoch: i64,
    id: String,
}

impl Device {
    /// Reads the value of the cookie or of `deviceToken`; `None` if it is none of ours or too old.
    pub fn open(app: &App, signed: &str) -> Option<Self> {
        let ring = app.ring()?;
        let mut parts = cookie::open(Purpose::KnownDevice, signed, &ring.masters)?.split(':');
        if parts.next() != Some(KIND) {
            return None;
        }
        let (user, epoch, id) = (
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
            parts.next()?.to_owned(),
        );
        let issued_at: i64 = parts.next()?.parse().ok()?;
        // One that a clock ahead of ours has signed is as good as new.
        let age = app.now().seconds().saturating_sub(issued_at).max(0);
        let lives = age.unsigned_abs() < LIFETIME.as_secs();
        (lives && parts.next().is_none()).then_some(Self { user, epoch, id })
    }

    /// The session with which the token was given; `None` if there was none.
    pub(in crate::flows) fn session(&self) -> Option<SessionId> {
        self.id.parse().ok()
    }

    /// Whose it is, or was.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Whether both are of the same user and epoch.
    pub fn is_as_good_as(&self, other: &Self) -> bool {
        (self.user, self.epoch) == (other.user, other.epoch)
    }

    /// Whether it is known at this account as the row is now.
    pub fn is_known_to(&self, user: &User) -> bool {
        self.user == user.id && self.epoch == user.login_epoch
    }
}

/// A new token for a device of this user: the value of the cookie, and `deviceToken` of a native
/// client. `session` is the one that the device has; one that has signed up and is not signed in
/// yet has none.
pub fn token(app: &App, user: &User, session: Option<SessionId>) -> Option<String> {
    let ring = app.ring()?;
    let id = session.map_or_else(
        || URL_SAFE_NO_PAD.encode(random::bytes::<16>(&*app.random)),
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

/// The id of the device among `tokens` that is known at the account of this address. The database
/// is asked only if a token is one of ours.
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
