//! The authorization request: where a browser is sent to sign in at a provider.

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, RedirectUrl, Scope};
use url::Url;

use super::asked::{Authorization, may_be_added};
use super::failure::Failure;
use super::metadata::Metadata;
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
        .add_scopes(scopes(provider, asked.scopes))
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
    for (name, value) in asked.extra {
        if may_be_added(name) {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
    }
    let (url, _) = request.url();
    Ok(url)
}

/// Returns the scopes of the settings and those that are asked for beside them, each once.
fn scopes(provider: &Provider, more: &[String]) -> Vec<Scope> {
    let mut all: Vec<&String> = Vec::new();
    for scope in provider.scopes.iter().chain(more) {
        if !all.contains(&scope) {
            all.push(scope);
        }
    }
    all.into_iter().cloned().map(Scope::new).collect()
}
