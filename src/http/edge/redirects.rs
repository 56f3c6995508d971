//! Where a request may redirect the browser afterwards: to a path of this service or a trusted
//! origin.

use super::error::Error;
use super::fields::Fields;
use super::limits::MAX_URL;
use super::query::Query;
use super::unchecked::Unchecked;
use crate::app::App;
use crate::model::kernel::redirect::is_trusted_redirect;

/// The greatest length of an encoded redirect target: it is sent in `Location`, and all headers of
/// an answer stay within 4 KiB.
const MAX_ENCODED: usize = 2_560;

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

/// Reads `callbackURL` of a body; an empty one counts as missing.
pub(in crate::http) fn callback(body: &mut Fields) -> Unchecked<Option<String>> {
    body.optional_text("callbackURL", MAX_URL)
        .filter(|url| !url.is_empty())
}

/// Returns `?redirect_to=` for the link to the other form; empty if there is no redirect target, or
/// one that is too long.
pub(in crate::http) fn query_of(next: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("redirect_to", next)
        .finish();
    if next.is_empty() || query.len() > MAX_ENCODED {
        String::new()
    } else {
        format!("?{query}")
    }
}
