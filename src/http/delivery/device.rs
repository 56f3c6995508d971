//! The cookie and the token by which the device of a user is known again.

use crate::app::App;
use crate::flows::limit::known_device;
use crate::http::edge::cookies;
use crate::http::edge::cookies::Name;
use crate::http::edge::credentials::Credentials;
use crate::model::account::user::User;
use crate::model::session::session::{Delivery, Session};
use axum::http::HeaderMap;
use serde_json::Value;

/// Makes a browser that has signed up, but is not signed in yet, a known device, so that the link
/// of the mail does not ask it for a password. If the email address was known before, the device
/// belongs to a user who does not exist, which looks the same.
pub(in crate::http) fn remember_asker(
    app: &App,
    user: &User,
    remember: bool,
    headers: &mut HeaderMap,
) {
    if let Some(device) = known_device::token(app, user, None) {
        cookies::set(
            app,
            headers,
            Name::Device,
            &device,
            remember.then(|| app.now() + known_device::LIFETIME),
        );
    }
}

/// Makes the device on which the change was made known again by a new token, since the change ended
/// every known device of the account.
pub(in crate::http) fn know_again(
    app: &App,
    session: &Session,
    user: &User,
    answer: &mut Value,
    headers: &mut HeaderMap,
) {
    let Some(device) = known_device::token(app, user, Some(session.id)) else {
        return;
    };
    match session.delivery {
        Delivery::Body => answer["deviceToken"] = device.into(),
        Delivery::Cookie => {
            let until = session.remember.then(|| app.now() + known_device::LIFETIME);
            cookies::set(app, headers, Name::Device, &device, until);
        }
    }
}

/// Gives the browser a new device token after a change of the password or email address has ended
/// the previous one, and the user has proven the account.
pub(in crate::http) fn know_anew(
    app: &App,
    credentials: &Credentials,
    user: &User,
    device: Option<String>,
    headers: &mut HeaderMap,
) {
    if let Some(device) = device {
        cookies::set(
            app,
            headers,
            Name::Device,
            &device,
            credentials.device_stays_until(app, user.id),
        );
    }
}
