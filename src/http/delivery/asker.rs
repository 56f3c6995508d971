//! What ties the browser of a request to an account: its session and the devices that it is known as.

use crate::app::App;
use crate::flows::account::mailbox::Evidence;
use crate::flows::authenticated::Authenticated;
use crate::flows::session::read_session::Accepts;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;

/// What ties the browser of the request to an account.
pub(in crate::http) struct Asker<'c> {
    session: Option<Authenticated>,
    session_cookies: Vec<&'c str>,
    devices: Vec<&'c str>,
}

impl<'c> Asker<'c> {
    /// Reads the session and the devices of the request.
    pub(in crate::http) async fn of(
        app: &App,
        credentials: &'c Credentials,
    ) -> Result<Self, Error> {
        let session = credentials
            .authenticate(app, Accepts::SessionTokenOnly)
            .await?
            .and_then(Result::ok);
        let borrow = |cookies: &'c [String]| cookies.iter().map(String::as_str).collect();
        Ok(Self {
            session,
            session_cookies: borrow(&credentials.session_cookies),
            devices: borrow(&credentials.devices),
        })
    }

    /// Adds the token of a device that a native client sent in the body.
    #[must_use]
    pub(in crate::http) fn with_device(mut self, token: Option<&'c str>) -> Self {
        self.devices.extend(token);
        self
    }

    /// Returns what a proof of a mailbox is weighed with.
    pub(in crate::http) fn evidence<'e>(&'e self, password: Option<&'e str>) -> Evidence<'e> {
        Evidence {
            session: self.session.as_ref(),
            session_cookies: &self.session_cookies,
            devices: &self.devices,
            password,
        }
    }
}
