//! How the tokens of a session reach the client: in the body or in cookies, and what happens to the
//! cookies of the request.

use crate::app::App;
use crate::flows::authenticated;
use crate::flows::limit::known_device;
use crate::flows::session::open_session::{Options, SessionTokens};
use crate::flows::session::presented::Presented;
use crate::flows::session::session_cache;
use crate::http::delivery::views;
use crate::http::edge::body::Fields;
use crate::http::edge::cookies;
use crate::http::edge::cookies::{Clear, Name};
use crate::http::edge::credentials::Credentials;
use crate::http::edge::header_text;
use crate::http::edge::limits::MAX_WORD;
use crate::http::edge::redirects::callback;
use crate::http::edge::unchecked::Unchecked;
use crate::model::session::session::Delivery;
use crate::model::session::ticket::Retry;
use axum::http::HeaderMap;
use serde_json::{Value, json};

/// Reads `tokenDelivery`: how tokens travel.
pub(in crate::http) fn token_delivery(body: &mut Fields) -> Unchecked<Delivery> {
    let word = body.text_or_nothing("tokenDelivery", MAX_WORD);
    body.check(
        "tokenDelivery",
        word,
        "expected cookie or body",
        |word| match word.as_deref() {
            None | Some("cookie") => Some(Delivery::Cookie),
            Some("body") => Some(Delivery::Body),
            Some(_) => None,
        },
    )
}

/// Reads `rememberMe`, `tokenDelivery`, `refreshRetry` and `callbackURL`.
pub(in crate::http) fn session_options(
    body: &mut Fields,
) -> (Unchecked<Options>, Unchecked<Option<String>>) {
    let delivery = token_delivery(body);
    let remember = body.optional_bool("rememberMe").or(true);
    let word = body.text_or_nothing("refreshRetry", MAX_WORD);
    let retry = body.check("refreshRetry", word, "expected window or ticket", |word| {
        word.as_deref().map_or(Some(Retry::Window), Retry::parse)
    });
    let options = delivery
        .zip(remember)
        .zip(retry)
        .map(|((delivery, remember), retry)| Options {
            delivery,
            remember,
            retry,
        });
    (options, callback(body))
}

/// Puts the tokens into the body or into cookies, never both.
pub(in crate::http) fn deliver(
    app: &App,
    grant: &SessionTokens,
    answer: &mut Value,
    headers: &mut HeaderMap,
) {
    answer["accessToken"] = grant.access.token.clone().into();
    answer["tokenType"] = "Bearer".into();
    answer["expiresIn"] = grant.access.expires_in.into();
    answer["refreshRetry"] = grant.session.retry.as_str().into();
    // The answers of an impersonation have the whole session.
    if answer.get("session").is_none() {
        answer["session"] = views::own_session(grant.session.id, grant.session.expires_at);
    }
    match grant.session.delivery {
        Delivery::Body => {
            answer["refreshToken"] = grant.refresh_token.as_str().into();
            answer["refreshExpiresIn"] = grant.ends_at.since(app.now()).as_secs().into();
            if let Some(device) = &grant.device {
                answer["deviceToken"] = device.as_str().into();
            }
            // Impersonation responses have no `token` member, so it goes into `set-auth-token`.
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
            // On a shared machine nothing stays when the browser is closed.
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

/// Delivers a session that replaces the user's own after a change that has ended every known
/// device: this device becomes known again, for as long as the session.
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

/// Cookies of the request, as the flows borrow them.
pub(in crate::http) struct Replaced<'r> {
    cookies: Vec<&'r str>,
    admin: Vec<&'r str>,
    refresh: Vec<&'r str>,
    devices: Vec<&'r str>,
    remembered: Vec<&'r str>,
}

impl<'r> Replaced<'r> {
    pub(in crate::http) fn of(credentials: &'r Credentials) -> Self {
        let borrow = |list: &'r [String]| list.iter().map(String::as_str).collect();
        Self {
            cookies: borrow(&credentials.session_cookies),
            admin: borrow(&credentials.admin_sessions),
            refresh: borrow(&credentials.refresh_cookies),
            devices: borrow(&credentials.devices),
            remembered: borrow(&credentials.remembered),
        }
    }

    /// Adds the token that a native client sent in the body.
    pub(in crate::http) fn with_device(mut self, token: Option<&'r str>) -> Self {
        self.devices.extend(token);
        self
    }

    /// Adds the token of a remembered device that a native client sent in the body.
    pub(in crate::http) fn with_remembered(mut self, token: Option<&'r str>) -> Self {
        self.remembered.extend(token);
        self
    }

    /// Delivers the session that replaces them.
    pub(in crate::http) fn deliver(
        &self,
        app: &App,
        grant: &SessionTokens,
        answer: &mut Value,
        headers: &mut HeaderMap,
    ) {
        self.clear_admin(app, headers);
        deliver(app, grant, answer, headers);
        // A session that ends with the browser only proves a mailbox together with its device: the
        // device cookie ends with the browser, too, and does not replace one that stays.
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

    /// Returns whether a device cookie came that a new one of this user must not replace: one of
    /// another user, or a valid one of the same user.
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

    /// Returns the lines that clear the cookies of every session of the request.
    pub(in crate::http) fn cleared(&self, app: &App, which: Clear) -> HeaderMap {
        let mut headers = HeaderMap::new();
        cookies::clear(app, &mut headers, which);
        self.clear_admin(app, &mut headers);
        headers
    }

    /// Clears the cookie of an admin's session that was set aside, if one was sent.
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
            remembered: &self.remembered,
        }
    }
}

/// Returns the session cookie if its idle end has just been written.
pub(in crate::http) fn renewed(app: &App, who: &authenticated::Authenticated) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(value) = who
        .renewed_cookie
        .as_ref()
        .filter(|_| who.session.delivery == Delivery::Cookie)
    {
        cookies::set(app, &mut headers, Name::Session, value, Some(who.ends_at()));
    }
    headers
}
