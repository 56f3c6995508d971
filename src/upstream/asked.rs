//! What the rest of the program asks of a provider.

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
