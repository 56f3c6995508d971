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

    /// Reads the three targets of a sign-in link.
    ///
    /// # Errors
    /// [`Error::InvalidCallbackUrl`] and its like if a URL is too long or not trusted.
    pub(in crate::http) fn targets(&self, app: &App) -> Result<Targets, Error> {
        let read = |name: &str, refusal: Error| {
            let url = self.peek(name).map(|url| trusted(app, url));
            url.map(|url| url.ok_or(refusal)).transpose()
        };
        Ok(Targets {
            done: self.callback_url(app)?,
            new_user: read("newUserCallbackURL", Error::InvalidNewUserCallbackUrl)?,
            failed: read("errorCallbackURL", Error::InvalidErrorCallbackUrl)?,
        })
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

/// Where a sign-in link leads. The check of the body has refused targets that are not trusted.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Targets {
    /// Where it leads after the sign-in.
    pub(in crate::http) done: Option<String>,
    /// Where it leads a new user, in place of `done`.
    pub(in crate::http) new_user: Option<String>,
    /// Where it leads if the link is no longer good.
    pub(in crate::http) failed: Option<String>,
}

impl Targets {
    /// Returns where a sign-in leads.
    pub(in crate::http) fn after(&self, is_new: bool) -> Option<&str> {
        let new_user = self.new_user.as_deref().filter(|_| is_new);
        new_user.or(self.done.as_deref())
    }

    /// Returns where a link leads that is no longer good.
    pub(in crate::http) fn after_failure(&self) -> Option<&str> {
        self.failed.as_deref().or(self.done.as_deref())
    }

    /// Resolves the targets that a client gave in a body.
    #[must_use]
    pub(in crate::http) fn given(self, app: &App) -> Self {
        let given = |url: Option<String>| url.map(|url| app.config.server.mount.given(&url));
        Self {
            done: given(self.done),
            new_user: given(self.new_user),
            failed: given(self.failed),
        }
    }
}

/// Reads the three targets of a sign-in link in a body; an empty one counts as missing.
pub(in crate::http) fn targets(body: &mut Fields) -> Unchecked<Targets> {
    let mut read = |name| {
        body.optional_text(name, MAX_URL)
            .filter(|url| !url.is_empty())
    };
    let done = read("callbackURL");
    let new_user = read("newUserCallbackURL");
    let failed = read("errorCallbackURL");
    done.zip(new_user)
        .zip(failed)
        .map(|((done, new_user), failed)| Targets {
            done,
            new_user,
            failed,
        })
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
