//! Sends a browser to another issuer: to sign in, or to link the identity that its user has there.
//! Nothing is written; what is needed when the browser comes back is sealed into a cookie.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::app::App;
use crate::config::upstream::Provider;
use crate::crypto::encode;
use crate::crypto::upstream_state::{Linker, UpstreamState, Urls};
use crate::flows::account::two_factor::Own;
use crate::flows::key::inspect_keys;
use crate::flows::limit::rate_limit::RateLimitCheck;
use crate::flows::{Error, Result};
use crate::model::audit::event::Requester;
use crate::model::kernel::time::Timestamp;
use crate::random;
use crate::upstream::Authorization;
pub use crate::upstream::may_be_added;

/// How long a browser may stay at the issuer.
pub const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How long the URL of the issuer and the content of the cookie may be together: all headers of an answer
/// stay within 4 KiB.
const MOST: usize = 3_456;

/// How many characters of `state` name the cookie.
pub const NAME: usize = 8;

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The id of the provider.
    pub provider: String,
    /// Where the browser is led afterwards; every URL was checked.
    pub urls: Urls,
    /// Whether an account is to be made if there is none, where the provider's `sign_up` is `requested`.
    pub request_sign_up: bool,
    /// Scopes beside those of the settings.
    pub scopes: Vec<String>,
    /// Whom the issuer is to expect.
    pub login_hint: Option<String>,
    /// Further parameters for the issuer.
    pub extra: Vec<(String, String)>,
}

/// A sign-in at an issuer that has begun.
pub struct Begun {
    /// Where the browser is sent.
    pub url: Url,
    /// The part of `state` that names the cookie.
    pub name: String,
    /// The content of the cookie.
    pub sealed: String,
    /// When the answer comes too late.
    pub expires_at: Timestamp,
    /// Whether the issuer sends the browser back with a form, from its own page.
    pub posts_form: bool,
}

/// Finds a provider of the settings.
///
/// # Errors
/// [`Error::ProviderNotFound`] if no section of the settings has this id.
pub(super) fn provider<'a>(app: &'a App, id: &str) -> Result<&'a Arc<Provider>> {
    app.config.upstream.find(id).ok_or(Error::ProviderNotFound)
}

/// Begins a sign-in.
///
/// # Errors
/// [`Error::ProviderNotFound`]; [`Error::Limited`]; [`Error::UrlTooLong`]; [`Error::UpstreamUnavailable`].
pub async fn sign_in(app: &App, wanted: Wanted, requester: &Requester) -> Result<Begun> {
    begin(app, wanted, None, requester).await
}

/// Begins to link an identity to one's own account.
///
/// # Errors
/// As [`sign_in`]; [`Error::SessionNotFresh`].
pub async fn link(app: &App, own: Own<'_>, wanted: Wanted, requester: &Requester) -> Result<Begun> {
    super::links::require_fresh(app, own)?;
    let linker = Linker {
        user: own.user.id,
        session: own.session.id,
    };
    begin(app, wanted, Some(linker), requester).await
}

async fn begin(
    app: &App,
    wanted: Wanted,
    linker: Option<Linker>,
    requester: &Requester,
) -> Result<Begun> {
    let provider = provider(app, &wanted.provider)?;
    RateLimitCheck::upstream(app, requester)
        .consume(app)
        .await?;
    let state = UpstreamState {
        provider: provider.id.clone(),
        state: encode(&random::bytes::<24>(&*app.random)),
        nonce: encode(&random::bytes::<24>(&*app.random)),
        code_verifier: encode(&random::bytes::<32>(&*app.random)),
        urls: wanted.urls,
        request_sign_up: wanted.request_sign_up,
        linker,
        expires_at: app.now() + LIFETIME,
    };
    let ring = inspect_keys::loaded(app)?;
    let master = &ring.masters.current().key;
    let sealed = state.seal(master).ok_or(Error::UrlTooLong)?;
    let asked = Authorization {
        state: &state.state,
        nonce: &state.nonce,
        code_challenge: &state.code_challenge(),
        redirect_uri: &redirect_uri(app, provider),
        scopes: &wanted.scopes,
        login_hint: wanted.login_hint.as_deref(),
        extra: &wanted.extra,
    };
    let url = app
        .upstream
        .authorization_url(provider, &asked)
        .await
        .map_err(|failure| super::refused::unusable(provider, &failure))?;
    // Both travel in headers of one answer.
    if url.as_str().len() + sealed.len() > MOST {
        return Err(Error::UrlTooLong);
    }
    Ok(Begun {
        url,
        name: state.state.chars().take(NAME).collect(),
        sealed,
        expires_at: state.expires_at,
        posts_form: provider.posts_form(),
    })
}

/// Returns the URL to which the issuer sends browsers back.
pub(super) fn redirect_uri(app: &App, provider: &Provider) -> String {
    let server = &app.config.server;
    provider.redirect_uri(&server.public_url, &server.base_path)
}
