//! Makes the response of an error: status, headers, and the data for the body.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::flows;
use crate::http::edge::demand;
use crate::http::edge::header_text;
use crate::model::login::policy::Demand;
use crate::model::session::session::End;

use super::Error;
use super::statuses::flow_status;

/// Marks a refusal because of load, which the listener sends after a delay.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct DelayedRefusal;

/// The data that `edge` makes the body from.
#[derive(Debug, Clone)]
pub(in crate::http) struct Failure {
    pub(in crate::http) status: StatusCode,
    code: &'static str,
    message: String,
    errors: Option<BTreeMap<String, Vec<String>>>,
    /// Further members of the body; an object.
    members: Value,
    /// What the session does not meet.
    demand: Option<Demand>,
    /// The cause, for the log only.
    pub(in crate::http) cause: Option<String>,
    /// Whether the message tells a developer which setting to change, so that a page shows it.
    is_advice: bool,
    /// Whether a page already shows the error, so that there is no body to write.
    pub(in crate::http) shown: bool,
}

impl Failure {
    /// Returns the body as JSON.
    pub(in crate::http) fn body(&self, request_id: &str) -> String {
        let mut body = json!({ "code": self.code, "message": self.message });
        if let Some(members) = self.members.as_object() {
            for (name, value) in members {
                body[name] = value.clone();
            }
        }
        if let Some(errors) = &self.errors {
            body["errors"] = json!(errors);
        }
        if self.status.is_server_error() {
            body["requestId"] = Value::from(request_id);
        }
        body.to_string()
    }

    /// Returns the body for an OAuth endpoint (RFC 6749 section 5.2). Errors without a code in that
    /// section get one of section 4.1.2.1, as is usual.
    pub(in crate::http) fn oauth_body(&self) -> String {
        let (error, description) = match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                ("temporarily_unavailable", "try again later")
            }
            status if status.is_server_error() => {
                ("server_error", "something went wrong on our side")
            }
            _ => ("invalid_request", "this is not a request of RFC 6749"),
        };
        json!({ "error": error, "error_description": description }).to_string()
    }

    /// Returns the message if it tells a developer which setting to change.
    pub(in crate::http) fn advice(&self) -> Option<&str> {
        self.is_advice.then_some(self.message.as_str())
    }

    /// Returns what the session would have to meet.
    pub(in crate::http) fn demand(&self) -> Option<Demand> {
        self.demand
    }

    /// Returns the stable code.
    pub(in crate::http) fn code(&self) -> &'static str {
        self.code
    }
}

/// Returns `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): the limit,
/// and the time until something is allowed again.
fn rate_limit(limited: &crate::model::limit::rate::Limited) -> Vec<(HeaderName, HeaderValue)> {
    let (name, wait) = (limited.rule.as_str(), whole_seconds(limited.wait));
    let policy = format!(
        "\"{name}\";q={};w={}",
        limited.quota.count,
        limited.quota.period.as_secs()
    );
    let lines = [
        ("ratelimit", format!("\"{name}\";r=0;t={wait}")),
        ("ratelimit-policy", policy),
    ];
    lines
        .into_iter()
        .map(|(name, text)| (HeaderName::from_static(name), header_text::value(&text)))
        .collect()
}

/// Rounds up, so that a client that waits this long is not refused again by a fraction.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let retry = self.retry_after();
        let challenge = match &self {
            Self::SessionOver {
                end: End::Revoked | End::SignedOut(_) | End::Replaced,
                ..
            } => Some(
                r#"Bearer realm="countersign", error="invalid_token", error_description="The session was revoked""#,
            ),
            Self::SessionOver {
                end: End::Expired, ..
            } => Some(
                r#"Bearer realm="countersign", error="invalid_token", error_description="The session has expired""#,
            ),
            Self::InvalidToken | Self::SessionOver { .. } => {
                Some(r#"Bearer realm="countersign", error="invalid_token""#)
            }
            other if other.status() == StatusCode::UNAUTHORIZED => {
                Some(r#"Bearer realm="countersign""#)
            }
            _ => None,
        };
        let demanded = match &self {
            Self::StepUp(demand, _) => Some(*demand),
            Self::Flow(flows::Error::SessionNotFresh(age)) => Some(Demand {
                level: None,
                max_age: Some(*age),
            }),
            _ => None,
        };
        let policy = if let Self::Flow(flows::Error::Limited(limited)) = &self {
            Some(rate_limit(limited))
        } else {
            None
        };
        let cause = match &self {
            Self::Flow(flows::Error::Unavailable(cause) | flows::Error::Internal(cause))
            | Self::Internal(cause) => Some(cause.clone()),
            // A flood is not an internal error: it does not fill the log with errors.
            Self::Flow(flows::Error::Busy) => None,
            Self::Flow(flow) if flow_status(flow).is_server_error() => Some(flow.to_string()),
            _ => None,
        };
        let (code, message) = self.code_and_message();
        let errors = if let Self::Validation(_, errors) = &self {
            Some(errors.clone())
        } else {
            None
        };
        let members = match &self {
            Self::StepUp(_, members) => members.clone(),
            Self::MailboxToVerify(Some(device)) => json!({ "deviceToken": device }),
            _ => Value::Null,
        };
        let is_advice = matches!(
            self,
            Self::InvalidOrigin(Some(_)) | Self::MissingOrNullOrigin(Some(_))
        );
        let status = self.status();
        let mut response = status.into_response();
        if matches!(
            self,
            Self::Flow(
                flows::Error::Busy | flows::Error::Limited(_) | flows::Error::TooManyRequests(_)
            )
        ) {
            response.extensions_mut().insert(DelayedRefusal);
        }
        response.extensions_mut().insert(Failure {
            status,
            code,
            message,
            errors,
            members,
            demand: demanded,
            cause,
            is_advice,
            shown: false,
        });
        let headers = response.headers_mut();
        if let Self::SessionOver { clearing, .. } = self {
            headers.extend(clearing);
        }
        headers.extend(policy.into_iter().flatten());
        if let Some(challenge) = challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        if let Some(demand) = demanded {
            let challenge = header_text::value(&demand::challenge(demand));
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = retry {
            let seconds = HeaderValue::from(whole_seconds(wait));
            headers.insert("x-retry-after", seconds.clone());
            headers.insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
