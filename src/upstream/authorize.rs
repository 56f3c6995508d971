//! The authorization request: where a browser is sent to sign in at a provider.

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, RedirectUrl, Scope};
use url::Url;

use super::asked::{Authorization, may_be_added};
use super::failure::Failure;
use super::metadata::{Metadata, OFFLINE_ACCESS};
use crate::config::upstream::{Kind, Provider};

/// Returns the URL of the authorization request.
///
/// # Errors
/// [`Failure::Unavailable`] if the redirect URI is no URL.
pub(super) fn url(
    provider: &Provider,
    metadata: &Metadata,
    asked: &Authorization<'_>,
) -> Result<Url, Failure> {
    let redirect = RedirectUrl::new(asked.redirect_uri.to_owned())
        .map_err(|_| Failure::Unavailable("the redirect URI is no URL".into()))?;
    let client = BasicClient::new(ClientId::new(provider.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
        .set_redirect_uri(redirect);
    let mut request = client
        .authorize_url(|| CsrfToken::new(asked.state.to_owned()))
        .add_scopes(scopes(provider, metadata, asked.scopes))
        .add_extra_param("code_challenge", asked.code_challenge)
        .add_extra_param("code_challenge_method", "S256");
    if provider.has_id_tokens() {
        request = request.add_extra_param("nonce", asked.nonce);
    }
    if provider.posts_form() {
        request = request.add_extra_param("response_mode", "form_post");
    }
    if let Some(hosted) = provider.hd.as_deref() {
        request = request.add_extra_param("hd", hosted);
    }
    if let Some(hint) = asked.login_hint {
        let name = if provider.kind == Kind::GitHub {
            "login"
        } else {
            "login_hint"
        };
        request = request.add_extra_param(name, hint);
    }
    if asks_offline(provider, asked) {
        request = request.add_extra_param(OFFLINE.0, OFFLINE.1);
    }
    for (name, value) in asked.extra {
        if may_be_added(name) {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
    }
    let (url, _) = request.url();
    Ok(url)
}

/// The parameter by which Google is asked for a refresh token, and its value.
const OFFLINE: (&str, &str) = ("access_type", "offline");

/// Returns whether Google is to be asked for a refresh token, unless the client has said what it wants.
fn asks_offline(provider: &Provider, asked: &Authorization<'_>) -> bool {
    let is_said = asked.extra.iter().any(|(name, _)| name == OFFLINE.0);
    provider.keep_tokens && provider.kind == Kind::Google && !is_said
}

/// Returns the scopes of the settings, that for a refresh token if tokens are kept, and those that are
/// asked for beside them, each once.
fn scopes(provider: &Provider, metadata: &Metadata, more: &[String]) -> Vec<Scope> {
    let is_by_scope = matches!(provider.kind, Kind::Microsoft | Kind::Oidc);
    let is_asked = provider.keep_tokens && is_by_scope && metadata.takes_offline_access;
    let offline = is_asked.then(|| OFFLINE_ACCESS.to_owned());
    let mut all: Vec<&String> = Vec::new();
    for scope in provider.scopes.iter().chain(&offline).chain(more) {
        if !all.contains(&scope) {
            all.push(scope);
        }
    }
    all.into_iter().cloned().map(Scope::new).collect()
}
