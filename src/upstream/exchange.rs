//! The exchange of a code for tokens (RFC 6749 section 4.1.3, with PKCE), and of a refresh token for newer
//! ones (section 6).

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::http::header::CONTENT_TYPE;
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, EndpointNotSet,
    EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RequestTokenError, StandardRevocableToken, StandardTokenResponse, TokenResponse,
    TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::asked::Grant;
use super::failure::{Failure, INVALID_GRANT};
use super::metadata::Metadata;
use super::requests::{Asking, EXCHANGE};
use crate::crypto::upstream_tokens::UpstreamTokens;
use crate::model::kernel::time::Timestamp;

/// The longest life of a token that is believed.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What the provider has issued for a code or a refresh token.
pub(super) struct Issued {
    pub(super) access_token: Zeroizing<String>,
    /// How long the access token is good, if the provider says it.
    pub(super) expires_in: Option<Duration>,
    pub(super) refresh_token: Option<Zeroizing<String>>,
    /// How long the refresh token is good, if the provider says it.
    pub(super) refresh_expires_in: Option<Duration>,
    pub(super) id_token: Option<Zeroizing<String>>,
    /// The scopes that were granted, if the provider says it.
    pub(super) scopes: Option<Vec<String>>,
}

/// The members of the answer that OpenID Connect and providers add.
#[derive(Deserialize, Serialize)]
struct Added {
    id_token: Option<String>,
    /// In seconds; no standard names it, so that anything may stand there.
    #[serde(default)]
    refresh_token_expires_in: Value,
}

impl fmt::Debug for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ExtraTokenFields for Added {}

type Tokens = StandardTokenResponse<Added, BasicTokenType>;
type TokenClient<Endpoint> = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    Endpoint,
>;

/// A request that brought no answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct Unanswered(Failure);

/// Exchanges a code, once: a provider takes a code that comes twice for a theft.
///
/// # Errors
/// [`Failure::InvalidCode`] if the provider refuses the code, [`Failure::Unavailable`] if it gives no
/// answer that can be used.
pub(super) async fn redeem(
    asking: Asking<'_>,
    metadata: &Metadata,
    secret: Option<&str>,
    grant: &Grant<'_>,
) -> Result<Issued, Failure> {
    let redirect = RedirectUrl::new(grant.redirect_uri.to_owned())
        .map_err(|_| Failure::Unavailable("the redirect URI is no URL".into()))?;
    let tokens = client(asking, metadata, secret)
        .set_redirect_uri(redirect)
        .exchange_code(AuthorizationCode::new(grant.code.to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(grant.code_verifier.to_owned()))
        .request_async(&Sender(asking))
        .await
        .map_err(|error| refusal(error, |word| Failure::InvalidCode(word.into())))?;
    Ok(Issued::of(&tokens))
}

/// Exchanges a refresh token, once: a provider that gives a new one each time takes one that comes twice
/// for a theft.
///
/// # Errors
/// [`Failure::RefreshRefused`] if the provider refuses the refresh token, [`Failure::Unavailable`] if it
/// gives no answer that can be used.
pub(super) async fn renew(
    asking: Asking<'_>,
    metadata: &Metadata,
    secret: Option<&str>,
    refresh_token: &str,
) -> Result<Issued, Failure> {
    let tokens = client(asking, metadata, secret)
        .exchange_refresh_token(&RefreshToken::new(refresh_token.to_owned()))
        .request_async(&Sender(asking))
        .await
        .map_err(|error| refusal(error, Failure::RefreshRefused))?;
    let issued = Issued::of(&tokens);
    if issued.access_token.is_empty() {
        return Err(unreadable());
    }
    Ok(issued)
}

/// Returns the client that this service is at the provider.
fn client(
    asking: Asking<'_>,
    metadata: &Metadata,
    secret: Option<&str>,
) -> TokenClient<EndpointSet> {
    let way = if metadata.secret_in_body {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    };
    let mut client =
        TokenClient::new(ClientId::new(asking.provider.client_id.clone())).set_auth_type(way);
    if let Some(secret) = secret {
        client = client.set_client_secret(ClientSecret::new(secret.to_owned()));
    }
    client.set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()))
}

impl Issued {
    fn of(tokens: &Tokens) -> Self {
        // GitHub writes commas between scopes.
        let split = |scope: &oauth2::Scope| {
            let all = scope.split([',', ' ']).filter(|one| !one.is_empty());
            all.map(str::to_owned).collect::<Vec<_>>()
        };
        // Zero seconds say nothing: some providers write it for tokens that do not expire.
        let life = |life: Duration| Some(life.min(LONGEST_LIFE)).filter(|life| !life.is_zero());
        let added = tokens.extra_fields();
        let refresh_life = added.refresh_token_expires_in.as_u64();
        let refresh_token = tokens.refresh_token();
        Self {
            access_token: Zeroizing::new(tokens.access_token().secret().clone()),
            expires_in: tokens.expires_in().and_then(life),
            refresh_token: refresh_token.map(|token| Zeroizing::new(token.secret().clone())),
            refresh_expires_in: refresh_life.map(Duration::from_secs).and_then(life),
            id_token: added.id_token.clone().map(Zeroizing::new),
            scopes: tokens
                .scopes()
                .map(|scopes| scopes.iter().flat_map(split).collect()),
        }
    }

    /// Returns the tokens that are kept, as they are since `now`.
    pub(super) fn into_tokens(self, now: Timestamp) -> UpstreamTokens {
        UpstreamTokens {
            access_token: self.access_token,
            expires_at: self.expires_in.map(|life| now + life),
            refresh_token: self.refresh_token,
            refresh_expires_at: self.refresh_expires_in.map(|life| now + life),
            id_token: self.id_token,
        }
    }
}

/// Sends the requests of the library. A type of its own: of a closure the compiler cannot show that the
/// exchange may move between threads.
struct Sender<'a>(Asking<'a>);

impl<'c> AsyncHttpClient<'c> for Sender<'_> {
    type Error = Unanswered;
    type Future = BoxFuture<'c, Result<HttpResponse, Unanswered>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { send(self.0, request).await.map_err(Unanswered) })
    }
}

/// Sends a request of the library.
async fn send(asking: Asking<'_>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let unusable = || Failure::Unavailable("the request cannot be made".into());
    let request = reqwest::Request::try_from(request).map_err(|_| unusable())?;
    let answer = asking.send(request, EXCHANGE).await?;
    let status = answer.status;
    if status.is_server_error() {
        let status = status.as_u16();
        return Err(Failure::Unavailable(format!(
            "the server answered {status}"
        )));
    }
    let mut response = oauth2::http::Response::builder().status(status);
    if let Some(kind) = answer.content_type() {
        response = response.header(CONTENT_TYPE, kind);
    }
    response.body(answer.body).map_err(|_| unusable())
}

/// Returns the reason of a refusal as a fixed text; a description of the provider is never repeated.
fn refusal(
    error: RequestTokenError<Unanswered, BasicErrorResponse>,
    refused: fn(&'static str) -> Failure,
) -> Failure {
    match error {
        RequestTokenError::Request(Unanswered(failure)) => failure,
        RequestTokenError::ServerResponse(response) => refused(word(response.error())),
        // GitHub refuses with the status 200.
        RequestTokenError::Parse(_, body) => match serde_json::from_slice::<Value>(&body) {
            Ok(body) if body.get("error").is_some() => {
                let of_grant = ["bad_verification_code", "bad_refresh_token"];
                let is_of_grant = of_grant.iter().any(|word| body["error"] == *word);
                refused(if is_of_grant {
                    INVALID_GRANT
                } else {
                    "another error"
                })
            }
            _ => unreadable(),
        },
        RequestTokenError::Other(_) => unreadable(),
    }
}

fn unreadable() -> Failure {
    Failure::Unavailable("the answer of the token endpoint is not of RFC 6749".into())
}

/// Returns the registered word of an error (RFC 6749 section 5.2).
fn word(error: &BasicErrorResponseType) -> &'static str {
    match error {
        BasicErrorResponseType::InvalidClient => "invalid_client",
        BasicErrorResponseType::InvalidGrant => INVALID_GRANT,
        BasicErrorResponseType::InvalidRequest => "invalid_request",
        BasicErrorResponseType::InvalidScope => "invalid_scope",
        BasicErrorResponseType::UnauthorizedClient => "unauthorized_client",
        BasicErrorResponseType::UnsupportedGrantType => "unsupported_grant_type",
        BasicErrorResponseType::Extension(_) => "another error",
    }
}
