//! Browsers and native clients that passed the second step and are to be remembered: until
//! `two_factor.remember_device` has passed, the gate asks them for the first step alone. The token
//! is bound to the user and to the user's `login_epoch`, so a new password, email address or factor
//! ends it, and so does the end of every session of all users. Its time is that of the second step
//! and is not extended by later sign-ins.

use std::time::Duration;

use crate::app::App;
use crate::crypto;
use crate::crypto::cookie::{self, Purpose};
use crate::flows::Result;
use crate::model::account::user::User;
use crate::model::kernel::time::Timestamp;
use crate::random;
use crate::store::{self, work};

const KIND: &str = "remembered";

/// How far the clock of another process may have been ahead when it made a token.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// The token of a remembered device, and when it ends.
pub struct Remembered {
    /// The value of the cookie, and `trustedDeviceToken` of a native client.
    pub token: String,
    /// When the second step is asked for again.
    pub until: Timestamp,
}

/// Makes a token for the device of this user, unless the settings remember no device.
pub(super) async fn make(app: &App, user: &User) -> Result<Option<Remembered>> {
    let (Some(lifetime), Some(ring)) = (app.config.two_factor.remember_device, app.ring()) else {
        return Ok(None);
    };
    let now = app.now();
    let id = crypto::encode(&random::bytes::<16>(&*app.random));
    let value = format!("{}:{id}:{}", bound_to(app, user).await?, now.seconds());
    Ok(Some(Remembered {
        token: cookie::sign(Purpose::RememberedDevice, &value, &ring.masters),
        until: now + lifetime,
    }))
}

/// Returns when the second step was passed on one of these devices; `None` if they are not
/// remembered for this user, or not any more.
pub(in crate::flows) async fn since(
    app: &App,
    tokens: &[&str],
    user: &User,
) -> Result<Option<Timestamp>> {
    let Some((lifetime, ring)) = app.config.two_factor.remember_device.zip(app.ring()) else {
        return Ok(None);
    };
    let values: Vec<&str> = tokens
        .iter()
        .filter_map(|signed| cookie::open(Purpose::RememberedDevice, signed, &ring.masters))
        .collect();
    if values.is_empty() {
        return Ok(None);
    }
    let (bound, now) = (bound_to(app, user).await?, app.now());
    let issued_at = |value: &&str| {
        let (_id, seconds) = value
            .strip_prefix(&bound)?
            .strip_prefix(':')?
            .split_once(':')?;
        let issued_at = Timestamp(seconds.parse::<i64>().ok()?.checked_mul(1000)?);
        // A token of a clock that was far ahead would last longer than it should.
        let is_young = now < issued_at + lifetime && issued_at <= now + AHEAD;
        is_young.then_some(issued_at)
    };
    Ok(values.iter().find_map(issued_at))
}

/// Returns what a token says of its user, as it is now.
async fn bound_to(app: &App, user: &User) -> Result<String> {
    let of_everybody = app
        .db
        .read(work!(conn => store::session::epochs::of_everybody(conn).await))
        .await?;
    Ok(format!(
        "{KIND}:{}:{}:{of_everybody}",
        user.id, user.login_epoch
    ))
}
