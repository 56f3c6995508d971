//! `/sign-up/email`, `/sign-in/email`, `/sign-out`, `/change-password`: the Better Auth contract,
//! and our tokens beside its answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::flows;
use crate::flows::account::{change_password as change, sign_up as flow_up};
use crate::flows::login::known_device;
use crate::flows::login::sign_in as flow_in;
use crate::flows::login::sign_in::Presented;
use crate::flows::session::open_session::{Options, SessionTokens};
use crate::flows::session::session_cache;
use crate::flows::session::sign_out as flow_out;
use crate::model::account::email::Email;
use crate::model::account::permission::Action;
use crate::model::account::user::User;
use crate::model::audit::event::Peer;
use crate::model::session::session::{Delivery, Session};

use super::views;
use crate::http::edge::body::{Fields, Optional, Submitted};
use crate::http::edge::client::Client;
use crate::http::edge::cookies;
use crate::http::edge::cookies::{Clear, Name};
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
use crate::http::edge::header_text;

pub(in crate::http) const MAX_NAME: usize = 256;
pub(in crate::http) const MAX_URL: usize = 2_048;
/// Longer than any token of a device.
const MAX_DEVICE: usize = 512;
/// Longer than any password that is accepted, so that its own error is told.
pub(in crate::http) const MAX_PASSWORD: usize = 16_384;

pub(in crate::http) async fn sign_up(
    State(app): State<Arc<App>>,
    Client(peer): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    body.refuse_privileged()?;
    let name = body.text("name", MAX_NAME);
    let email: Option<Email> = body.text("email", MAX_NAME * 4).parse().ok();
    if email.is_none() {
        body.problem("email", "Invalid email address");
    }
    let password = body.text("password", MAX_PASSWORD);
    let image = body.optional_text("image", MAX_URL);
    let (options, callback) = session_options(&mut body);
    body.finish()?;
    let Some(email) = email else {
        return Err(crate::flows::Error::InvalidEmail.into());
    };
    let form = flow_up::Form {
        name,
        email,
        password,
        image,
        callback,
    };
    let presented = Replaced::of(&credentials);
    let (user, grant) = flow_up::sign_up(&app, form, options, presented.borrow(), &peer).await?;
    let mut answer = json!({ "token": grant.as_ref().map(|g| g.session_token.expose()), "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    if let Some(grant) = &grant {
        presented.deliver(&app, grant, &mut answer, &mut headers);
    } else if options.delivery == Delivery::Cookie {
        remember_asker(&app, &user, options.remember, &mut headers);
    }
    Ok((headers, Json(answer)).into_response())
}

/// A browser that has signed up and is not signed in yet: it is a known device, so that the link of
/// the mail asks it for no password. For an address that was known before, it is a device of a user
/// who does not exist, and looks the same.
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

pub(in crate::http) async fn sign_in(
    State(app): State<Arc<App>>,
    Client(peer): Client,
    credentials: Credentials,
    Submitted(mut body): Submitted,
) -> Result<Response, Error> {
    let email = body.text("email", MAX_NAME * 4);
    let password = body.text("password", MAX_PASSWORD);
    let (options, callback) = session_options(&mut body);
    let device = body.text_or_nothing("deviceToken", MAX_DEVICE);
    body.finish()?;
    let email: Email = email
        .parse()
        .map_err(|_| crate::flows::Error::InvalidEmail)?;
    let presented = Replaced::of(&credentials).with_device(device.as_deref());
    let (user, grant) =
        flow_in::sign_in(&app, &email, &password, options, presented.borrow(), &peer).await?;
    let mut answer = json!({ "redirect": callback.is_some(), "token": grant.session_token.expose(), "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    if let Some(callback) = callback {
        headers.insert(
            header::LOCATION,
            header_text::location(&app.config.server.mount.given(&callback)),
        );
        answer["url"] = callback.into();
    }
    presented.deliver(&app, &grant, &mut answer, &mut headers);
    Ok((headers, Json(answer)).into_response())
}

pub(in crate::http) async fn sign_out(
    State(app): State<Arc<App>>,
    Client(peer): Client,
    credentials: Credentials,
    Optional(mut body): Optional,
) -> Result<Response, Error> {
    let in_body: Vec<String> = TOKENS
        .iter()
        .filter_map(|name| body.nullable_text(name, MAX_TOKEN))
        .filter(|token| !token.is_empty())
        .collect();
    body.finish()?;
    let headers = end_all(&app, &credentials, &in_body, &peer).await?;
    Ok((headers, Json(json!({ "success": true }))).into_response())
}

/// Names under which clients send a token of a session in the body of a sign-out.
const TOKENS: [&str; 5] = [
    "refreshToken",
    "refresh_token",
    "token",
    "accessToken",
    "access_token",
];
/// Longer than any access token of ours.
const MAX_TOKEN: usize = 16 * 1024;

/// Ends every session whose token the request carries, and clears every cookie of theirs.
pub(in crate::http) async fn end_all(
    app: &App,
    credentials: &Credentials,
    in_body: &[String],
    peer: &Peer,
) -> Result<HeaderMap, Error> {
    let replaced = Replaced::of(credentials);
    let tokens: Vec<&str> = credentials
        .bearer
        .iter()
        .chain(in_body)
        .map(String::as_str)
        .collect();
    match flow_out::sign_out(app, replaced.borrow(), &tokens, peer).await {
        // A token that was named and ends nothing is no success. A browser that names none has been
        // signed out before, and whatever it still carries goes.
        Err(flows::Error::Unauthorized) if !tokens.is_empty() || credentials.unreadable => {
            return Err(Error::InvalidToken);
        }
        Err(flows::Error::Unauthorized) if credentials.from_browser => {}
        outcome => outcome?,
    }
    Ok(replaced.cleared(app))
}

pub(in crate::http) async fn change_password(
    State(app): State<Arc<App>>,
    Acting { who, peer }: Acting,
    mut body: Fields,
) -> Result<Response, Error> {
    who.require_not_impersonated(Action::SetPassword)?;
    let current = body.text("currentPassword", MAX_PASSWORD);
    let new = body.text("newPassword", MAX_PASSWORD);
    let move_session = body.optional_bool("revokeOtherSessions").unwrap_or(false);
    body.finish()?;
    let (user, grant) =
        change::change_password(&app, &who, &current, &new, move_session, &peer).await?;
    let mut answer = json!({ "token": grant.as_ref().map(|g| g.session_token.expose()), "user": views::user(&user) });
    let mut headers = HeaderMap::new();
    match &grant {
        Some(grant) => deliver_anew(&app, grant, &mut answer, &mut headers),
        None => know_again(&app, &who.session, &user, &mut answer, &mut headers),
    }
    Ok((headers, Json(answer)).into_response())
}

/// The change ended every known device of the account; the one on which it was made is known by a
/// new token.
fn know_again(
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

/// A browser whose known device has ended with a password or an address, and which has proven whose
/// it is, is known by a new one.
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

/// `rememberMe`, `tokenDelivery`, `callbackURL`.
pub(in crate::http) fn session_options(body: &mut Fields) -> (Options, Option<String>) {
    let delivery = match body.text_or_nothing("tokenDelivery", 16).as_deref() {
        None | Some("cookie") => Delivery::Cookie,
        Some("body") => Delivery::Body,
        Some(_) => {
            body.problem("tokenDelivery", "expected cookie or body");
            Delivery::Cookie
        }
    };
    let remember = body.optional_bool("rememberMe").unwrap_or(true);
    let callback = body
        .optional_text("callbackURL", MAX_URL)
        .filter(|url| !url.is_empty());
    (Options { delivery, remember }, callback)
}

/// The tokens go into the body or into cookies, never both ways.
pub(in crate::http) fn deliver(
    app: &App,
    grant: &SessionTokens,
    answer: &mut Value,
    headers: &mut HeaderMap,
) {
    answer["accessToken"] = grant.access.token.clone().into();
    answer["tokenType"] = "Bearer".into();
    answer["expiresIn"] = grant.access.expires_in.into();
    match grant.session.delivery {
        Delivery::Body => {
            answer["refreshToken"] = grant.refresh_token.as_str().into();
            answer["refreshExpiresIn"] = grant.ends_at.since(app.now()).as_secs().into();
            if let Some(device) = &grant.device {
                answer["deviceToken"] = device.as_str().into();
            }
            // An answer without a member for it: those of impersonation.
            if answer.get("token").is_none() {
                headers.insert(
                    cookies::SET_AUTH_TOKEN,
                    header_text::value(&grant.session_cookie),
                );
            }
        }
        Delivery::Cookie => {
            let remember = grant.session.remember;
            cookies::set(
                app,
                headers,
                Name::Session,
                &grant.session_cookie,
                remember.then_some(grant.ends_at),
            );
            if !remember {
                cookies::set(app, headers, Name::DontRemember, &grant.dont_remember, None);
            }
            cookies::set(
                app,
                headers,
                Name::Refresh,
                &grant.refresh_token,
                remember.then_some(grant.session.expires_at),
            );
            // On a machine that others use too nothing stays when the browser closes.
            if let Some(device) = grant.device.as_ref().filter(|_| remember) {
                cookies::set(
                    app,
                    headers,
                    Name::Device,
                    device,
                    Some(app.now() + known_device::LIFETIME),
                );
            }
            let told =
                json!({ "session": views::client_session(&grant.session), "user": answer["user"] });
            if let Some((value, until)) = session_cache::seal(
                app,
                &grant.session,
                &grant.session_token,
                grant.ends_at,
                &told,
            ) {
                cookies::set(
                    app,
                    headers,
                    Name::SessionData,
                    &value,
                    remember.then_some(until),
                );
            }
        }
    }
}

/// Delivers a session that takes the place of one's own after a change that has ended every known
/// device: this one is known again, as long as the session.
pub(in crate::http) fn deliver_anew(
    app: &App,
    grant: &SessionTokens,
    answer: &mut Value,
    headers: &mut HeaderMap,
) {
    deliver(app, grant, answer, headers);
    if let Some(device) = grant
        .device
        .as_ref()
        .filter(|_| grant.session.delivery == Delivery::Cookie && !grant.session.remember)
    {
        cookies::set(app, headers, Name::Device, device, None);
    }
}

/// Cookies that came along, as the flows borrow them.
pub(in crate::http) struct Replaced<'r> {
    cookies: Vec<&'r str>,
    admin: Vec<&'r str>,
    refresh: Vec<&'r str>,
    devices: Vec<&'r str>,
}

impl<'r> Replaced<'r> {
    pub(in crate::http) fn of(credentials: &'r Credentials) -> Self {
        let borrow = |list: &'r [String]| list.iter().map(String::as_str).collect();
        Self {
            cookies: borrow(&credentials.session_cookies),
            admin: borrow(&credentials.admin_sessions),
            refresh: borrow(&credentials.refresh_cookies),
            devices: borrow(&credentials.devices),
        }
    }

    /// With the token that a native client sent in the body.
    pub(in crate::http) fn with_device(mut self, token: Option<&'r str>) -> Self {
        self.devices.extend(token);
        self
    }

    /// Delivers the session that takes their place.
    pub(in crate::http) fn deliver(
        &self,
        app: &App,
        grant: &SessionTokens,
        answer: &mut Value,
        headers: &mut HeaderMap,
    ) {
        self.clear_admin(app, headers);
        deliver(app, grant, answer, headers);
        // A session that ends with the browser is not proof of a mailbox without its device: that
        // ends with the browser too, and replaces none that stays.
        let Some(device) = grant
            .device
            .as_ref()
            .filter(|own| !self.keeps_device_beside(app, own))
        else {
            return;
        };
        if grant.session.delivery == Delivery::Cookie && !grant.session.remember {
            cookies::set(app, headers, Name::Device, device, None);
        }
    }

    /// Whether a device came that a new one of this user must not replace: another user's, or a
    /// good one of the same.
    fn keeps_device_beside(&self, app: &App, own: &str) -> bool {
        let own = known_device::Device::open(app, own);
        let came = self
            .devices
            .iter()
            .filter_map(|text| known_device::Device::open(app, text));
        own.is_some_and(|own| {
            came.into_iter()
                .any(|device| device.user() != own.user() || device.is_as_good_as(&own))
        })
    }

    /// The lines that clear the cookies of every session that the request named.
    pub(in crate::http) fn cleared(&self, app: &App) -> HeaderMap {
        let mut headers = HeaderMap::new();
        cookies::clear(app, &mut headers, Clear::Session);
        self.clear_admin(app, &mut headers);
        headers
    }

    /// Clears the cookie of an admin's session that was set aside, where one came.
    fn clear_admin(&self, app: &App, headers: &mut HeaderMap) {
        if !self.admin.is_empty() {
            cookies::clear_one(app, headers, Name::AdminSession);
        }
    }

    pub(in crate::http) fn borrow(&self) -> Presented<'_> {
        Presented {
            cookies: &self.cookies,
            admin: &self.admin,
            refresh: &self.refresh,
            devices: &self.devices,
        }
    }
}
