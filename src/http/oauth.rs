//! `/oauth2/token` and `/oauth2/revoke` (RFC 6749 section 6, RFC 7009): form encoded, errors as in
//! section 5.2; and `/upstream/{id}/logout`, to which other issuers send logout tokens, in the same
//! form. Cookies are never read. The answer says how long the refresh token and the session
//! are valid (draft-ietf-oauth-refresh-token-expiration-03).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::flows;
use crate::flows::federation::logout;
use crate::flows::session::refresh;
use crate::flows::session::refresh_token::Purpose;
use crate::flows::session::sign_out;
use crate::flows::token::issue_token;
use crate::model::session::session::Delivery;
use crate::model::token::target::Requested;

use crate::http::edge::body;
use crate::http::edge::client::Client;
use crate::http::edge::error::Error;
use crate::http::edge::target::{AUDIENCE, RESOURCE};
use crate::http::edge::text;

/// An error of RFC 6749 section 5.2; descriptions are constants and contain nothing of the request.
struct Refused {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.error, "error_description": self.description }));
        (
            self.status,
            [(header::PRAGMA, HeaderValue::from_static("no-cache"))],
            body,
        )
            .into_response()
    }
}

fn invalid_request(description: &'static str) -> Response {
    Refused {
        status: StatusCode::BAD_REQUEST,
        error: "invalid_request",
        description,
    }
    .into_response()
}

pub(super) async fn token(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    request: Request,
) -> Response {
    let form = match form(request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    match form.get("grant_type") {
        None => return invalid_request("grant_type is required"),
        Some("refresh_token") => {}
        Some(_) => {
            let description = "only refresh_token is supported";
            return Refused {
                status: StatusCode::BAD_REQUEST,
                error: "unsupported_grant_type",
                description,
            }
            .into_response();
        }
    }
    let Some(token) = form.get("refresh_token") else {
        return invalid_request("refresh_token is required");
    };
    let ticket = form.get("attempt").map(str::parse).transpose();
    let Ok(ticket) = ticket else {
        return invalid_request("attempt must be 22 characters of base64url, 16 random bytes");
    };
    // Before the refresh token is opened: an audience that is not available uses nothing up.
    let target = match issue_token::target(&app, &form.requested()) {
        Ok(target) => target,
        Err(error) => return refuse(error),
    };
    let (channel, purpose) = (Delivery::Body, Purpose::Refresh(ticket));
    let renewed = match refresh::refresh(&app, token, channel, purpose, &target, &requester).await {
        Ok(renewed) => renewed,
        Err(error) => return refuse(error),
    };
    let mut answer = json!({ "access_token": renewed.access.token, "token_type": "Bearer", "expires_in": renewed.access.expires_in, "rotated": renewed.refresh_token.is_some() });
    // The absolute end does not reveal when the session was used. The idle timeout does, so it is
    // only sent with a new token.
    let now = app.now();
    answer["authorization_expires_in"] =
        renewed.session.state.expires_at.since(now).as_secs().into();
    if let Some(token) = &renewed.refresh_token {
        answer["refresh_token"] = token.as_str().into();
        answer["refresh_token_timeout"] = renewed.ends_at().since(now).as_secs().into();
    }
    (
        [(header::PRAGMA, HeaderValue::from_static("no-cache"))],
        Json(answer),
    )
        .into_response()
}

/// Answers 200 to every well-formed request: an unknown token counts as revoked.
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Client(requester): Client,
    request: Request,
) -> Response {
    let form = match form(request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let Some(token) = form.get("token") else {
        return invalid_request("token is required");
    };
    match sign_out::revoke_token(&app, token, &requester).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => refuse(error),
    }
}

/// Ends the sessions that a logout token of another issuer names (OpenID Connect Back-Channel Logout 1.0).
/// The answer does not say whether there were any.
pub(super) async fn log_out(
    State(app): State<Arc<App>>,
    Path(provider): Path<String>,
    Client(requester): Client,
    request: Request,
) -> Response {
    let form = match form(request).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let Some(token) = form.get("logout_token") else {
        return invalid_request("logout_token is required");
    };
    match logout::log_out(&app, &provider, token, &requester).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(flows::Error::InvalidIdToken) => invalid_request("the logout token is not valid"),
        Err(other) => Error::Flow(other).into_response(),
    }
}

/// The parameters of a request; an empty one counts as missing.
struct Form {
    /// Parameters that occur at most once.
    single: BTreeMap<String, String>,
    /// The values of `resource`, which may occur several times (RFC 8707 section 2).
    resources: Vec<String>,
}

impl Form {
    fn get(&self, name: &str) -> Option<&str> {
        self.single.get(name).map(String::as_str)
    }

    /// Returns the audience that the request asks for.
    fn requested(&self) -> Requested {
        Requested {
            resources: self.resources.clone(),
            audiences: self.get(AUDIENCE).map(Into::into).into_iter().collect(),
        }
    }
}

async fn form(request: Request) -> Result<Form, Response> {
    if body::media_type(&request).as_deref() != Some("application/x-www-form-urlencoded") {
        return Err(invalid_request(
            "the body must be application/x-www-form-urlencoded",
        ));
    }
    let bytes = body::read(request)
        .await
        .map_err(IntoResponse::into_response)?;
    if !text::is_storable(&bytes) {
        return Err(invalid_request(
            "the body holds a NUL character or is not UTF-8",
        ));
    }
    let (mut single, mut resources) = (BTreeMap::new(), Vec::new());
    for (name, value) in url::form_urlencoded::parse(&bytes) {
        if name == RESOURCE {
            resources.push(value.into_owned());
            continue;
        }
        let before = single.insert(name.into_owned(), value.into_owned());
        if before.is_some() {
            return Err(invalid_request("a parameter occurs twice"));
        }
    }
    single.retain(|_, value| !value.is_empty());
    resources.retain(|value| !value.is_empty());
    Ok(Form { single, resources })
}

fn refuse(error: flows::Error) -> Response {
    use flows::Error as E;
    match error {
        E::RefreshTokenInvalid
        | E::RefreshTokenExpired
        | E::RefreshTokenRevoked
        | E::RefreshTokenReused => {
            let description = "the refresh token is not valid";
            Refused {
                status: StatusCode::BAD_REQUEST,
                error: "invalid_grant",
                description,
            }
            .into_response()
        }
        E::InvalidTarget => {
            let description = "the requested resource or audience is not available";
            Refused {
                status: StatusCode::BAD_REQUEST,
                error: "invalid_target",
                description,
            }
            .into_response()
        }
        E::RefreshAttemptMissing => {
            invalid_request("this session refreshes with tickets: attempt is required")
        }
        other => Error::Flow(other).into_response(),
    }
}
