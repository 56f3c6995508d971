//! The exchange of a code for tokens (RFC 6749 section 4.1.3, with PKCE).

use std::fmt;

use futures_util::future::BoxFuture;
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::http::header::CONTENT_TYPE;
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, ExtraTokenFields,
    HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::asked::Grant;
use super::failure::Failure;
use super::metadata::Metadata;
use super::requests::{Asking, EXCHANGE};

/// What the provider has issued for a code.
pub(super) struct Issued {
    pub(super) access_token: Zeroizing<String>,
    pub(super) id_token: Option<Zeroizing<String>>,
    /// The scopes that were granted, if the provider says it.
    pub(super) scopes: Option<Vec<String>>,
}

/// The member of the answer that OpenID Connect adds.
#[derive(Deserialize, Serialize)]
struct OfOpenId {
    id_token: Option<String>,
}

impl fmt::Debug for OfOpenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ExtraTokenFields for OfOpenId {}

type Tokens = StandardTokenResponse<OfOpenId, BasicTokenType>;
type TokenClient = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
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
    let way = if metadata.secret_in_body {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    };
    let mut client = TokenClient::new(ClientId::new(asking.provider.client_id.clone()))
        .set_auth_type(way)
        .set_redirect_uri(redirect);
    if let Some(secret) = secret {
        client = client.set_client_secret(ClientSecret::new(secret.to_owned()));
    }
    let client = client.set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()));
    let tokens = client
        .exchange_code(AuthorizationCode::new(grant.code.to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(grant.code_verifier.to_owned()))
        .request_async(&Sender(asking))
        .await
        .map_err(refusal)?;
    // GitHub writes commas between scopes.
    let split = |scope: &oauth2::Scope| {
        let all = scope.split([',', ' ']).filter(|one| !one.is_empty());
        all.map(str::to_owned).collect::<Vec<_>>()
    };
    Ok(Issued {
        access_token: Zeroizing::new(tokens.access_token().secret().clone()),
        id_token: tokens.extra_fields().id_token.clone().map(Zeroizing::new),
        scopes: tokens
            .scopes()
            .map(|scopes| scopes.iter().flat_map(split).collect()),
    })
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
fn refusal(error: RequestTokenError<Unanswered, BasicErrorResponse>) -> Failure {
    match error {
        RequestTokenError::Request(Unanswered(failure)) => failure,
        RequestTokenError::ServerResponse(refused) => {
            Failure::InvalidCode(word(refused.error()).into())
        }
        // GitHub refuses with the status 200.
        RequestTokenError::Parse(_, body) => match serde_json::from_slice::<Value>(&body) {
            Ok(body) if body.get("error").is_some() => {
                let is_code = body["error"] == "bad_verification_code";
                let word = if is_code {
                    "invalid_grant"
                } else {
                    "another error"
                };
                Failure::InvalidCode(word.into())
            }
            _ => unreadable(),
        },
        RequestTokenError::Other(_) => unreadable(),
    }
}

fn unreadable() -> Failure {
    Failure::Unavailable("the answer to the code is not of RFC 6749".into())
}

/// Returns the registered word of an error (RFC 6749 section 5.2).
fn word(error: &BasicErrorResponseType) -> &'static str {
    match error {
        BasicErrorResponseType::InvalidClient => "invalid_client",
        BasicErrorResponseType::InvalidGrant => "invalid_grant",
        BasicErrorResponseType::InvalidRequest => "invalid_request",
        BasicErrorResponseType::InvalidScope => "invalid_scope",
        BasicErrorResponseType::UnauthorizedClient => "unauthorized_client",
        BasicErrorResponseType::UnsupportedGrantType => "unsupported_grant_type",
        BasicErrorResponseType::Extension(_) => "another error",
    }
}
