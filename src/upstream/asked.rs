//! What the rest of the program asks of a provider, and what it is told of a user.

use std::fmt;

use serde_json::{Map, Value};

use crate::crypto::upstream_tokens::UpstreamTokens;

/// Parameters of the authorization request that this service sets, or that would replace those which
/// it sets.
const OWN_PARAMETERS: [&str; 16] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "hd",
    "login",
    "login_hint",
    "nonce",
    "redirect_uri",
    "registration",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Returns whether a client may add a parameter of this name to the authorization request.
pub fn may_be_added(name: &str) -> bool {
    !name.is_empty() && !OWN_PARAMETERS.contains(&name)
}

/// What a browser is sent to the provider with.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// `state`
    pub state: &'a str,
    /// `nonce`
    pub nonce: &'a str,
    /// `code_challenge`, of the method S256.
    pub code_challenge: &'a str,
    /// `redirect_uri`
    pub redirect_uri: &'a str,
    /// Scopes beside those of the settings.
    pub scopes: &'a [String],
    /// `login_hint`
    pub login_hint: Option<&'a str>,
    /// Parameters of the client. One for which [`may_be_added`] is false is left out.
    pub extra: &'a [(String, String)],
}

/// What the provider has sent a browser back with.
#[derive(Clone, Copy)]
pub struct Grant<'a> {
    /// `code`
    pub code: &'a str,
    /// The verifier of `code_challenge`.
    pub code_verifier: &'a str,
    /// `redirect_uri`, as at the beginning.
    pub redirect_uri: &'a str,
    /// `nonce`, as at the beginning.
    pub nonce: &'a str,
    /// Apple: the form field `user`, which is not signed; only the name is taken from it.
    pub first_user: Option<&'a str>,
}

/// An id token that a native app or a page has got by itself.
#[derive(Clone, Copy)]
pub struct NativeToken<'a> {
    /// The id token, as the issuer signed it.
    pub token: &'a str,
    /// The nonce that the app has used; `None` if it used none.
    pub nonce: Option<&'a str>,
}

/// An identity whose tokens are kept.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// The issuer that gave them.
    pub issuer: &'a str,
    /// The user at the issuer.
    pub subject: &'a str,
    /// The tokens that it gave.
    pub tokens: &'a UpstreamTokens,
}

impl fmt::Debug for Kept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// What a provider says of a user.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// The name of the user.
    pub name: Option<String>,
    /// The email address, as the provider writes it.
    pub email: Option<String>,
    /// Whether the provider says that it has verified the email address.
    pub email_verified: bool,
    /// The URL of a picture, as the provider writes it; nothing of it was checked.
    pub image: Option<String>,
    /// All that the provider says.
    pub data: Map<String, Value>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile(…)")
    }
}
