//! The tokens that come with a request: what a sign-in replaces and a sign-out ends.

use super::credential;
use super::set_aside;
use crate::app::App;
use crate::crypto::token::SessionToken;

/// Tokens of the request whose sessions a sign-in replaces.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presented<'r> {
    /// Values of session cookies, with their signatures.
    pub cookies: &'r [&'r str],
    /// Values of the cookies that hold an admin's own session during an impersonation, with their
    /// signatures.
    pub admin: &'r [&'r str],
    /// Refresh tokens of the request.
    pub refresh: &'r [&'r str],
    /// Tokens of devices that are known at an account.
    pub devices: &'r [&'r str],
    /// Tokens of browsers that need no second step for a time.
    pub remembered: &'r [&'r str],
}

impl Presented<'_> {
    /// Returns the session tokens in the cookies whose signatures are valid.
    pub(in crate::flows) fn sessions(&self, app: &App) -> Vec<SessionToken> {
        let own = self
            .cookies
            .iter()
            .filter_map(|signed| credential::cookie_token(app, signed));
        own.chain(
            self.admin
                .iter()
                .filter_map(|signed| set_aside::admin_token(app, signed)),
        )
        .collect()
    }
}
