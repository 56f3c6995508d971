//! Where a request may redirect the browser afterwards: to a path of this service or a trusted
//! origin.

use crate::app::App;
use crate::model::kernel::origin::is_trusted_redirect;

use super::error::Error;
use super::fields::Fields;
use super::limits::MAX_URL;
use super::query::Query;

/// Returns the URL with the prefix that a proxy strips, or `None` if it is too long or not trusted.
fn trusted(app: &App, url: &str) -> Option<String> {
    let server = &app.config.server;
    let is_good = url.len() <= MAX_URL && is_trusted_redirect(url, &server.trusted_origins);
    is_good.then(|| server.mount.given(url))
}

fn next_of(app: &App, url: Option<&str>) -> Result<String, Error> {
    url.map_or(Ok(String::new()), |url| {
        trusted(app, url).ok_or(Error::InvalidRedirectUrl)
    })
}

impl Fields {
    /// Reads `redirect_to`; empty if there is none.
    ///
    /// # Errors
    /// [`Error::InvalidRedirectUrl`] if the URL is too long or not trusted.
    pub(in crate::http) fn redirect_to(&self, app: &App) -> Result<String, Error> {
        next_of(app, self.peek("redirect_to"))
    }
}

impl Query {
    /// Reads `redirect_to`; empty if there is none.
    ///
    /// # Errors
    /// [`Error::InvalidRedirectUrl`] if the URL is too long or not trusted.
    pub(in crate::http) fn redirect_to(&self, app: &App) -> Result<String, Error> {
        next_of(app, self.peek("redirect_to"))
    }

    /// Reads `callbackURL`.
    ///
    /// # Errors
    /// [`Error::InvalidCallbackUrl`] if the URL is too long or not trusted.
    pub(in crate::http) fn callback_url(&self, app: &App) -> Result<Option<String>, Error> {
        self.peek("callbackURL")
            .map(|url| trusted(app, url).ok_or(Error::InvalidCallbackUrl))
            .transpose()
    }
}
