//! The one map from refusals to HTTP: status, code, body `{code, message, errors?, requestId?}`.
//! Codes are an interface, listed in `docs/errors.md`. A refusal travels as a response extension;
//! `edge` writes the body, adds the request id and logs the cause once.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::flows;
use crate::model::session::session::End;

use super::codes::{flow_code, flow_status};
use super::header_text;

/// Where a field stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In a JSON body.
    Body,
    /// In the query of the URL.
    Query,
    /// In an encoded form.
    Form,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Query => "query",
            Self::Form => "form",
        }
    }
}

/// A refusal on its way out.
#[derive(Debug)]
pub enum Error {
    /// What a flow said.
    Flow(flows::Error),
    /// The body is no JSON.
    BadRequest(String),
    /// Fields with problems: messages by field.
    Validation(Source, BTreeMap<String, Vec<String>>),
    /// A field that clients do not set.
    FieldNotAllowed(String),
    /// Not JSON by its own word; what was said, what is wanted.
    UnsupportedMediaType(String),
    /// Over the limit.
    PayloadTooLarge,
    /// The body came too slowly.
    RequestTimeout,
    /// Too many headers, or a head that is too long.
    HeadersTooLarge,
    /// No such path.
    NotFound,
    /// The path knows other methods.
    MethodNotAllowed,
    /// An origin that is not trusted.
    InvalidOrigin,
    /// Cross-site without an origin, or `null`.
    MissingOrNullOrigin,
    /// A redirect that would leave the trusted origins.
    InvalidCallbackUrl,
    /// The same, called `redirectTo`.
    InvalidRedirectUrl,
    /// The same, called `errorCallbackURL`.
    InvalidErrorCallbackUrl,
    /// The same, called `newUserCallbackURL`.
    InvalidNewUserCallbackUrl,
    /// A form that was shown to another session.
    InvalidFormToken,
    /// Keys that cannot be rotated yet, or have just been.
    KeysTooYoung,
    /// A link of a mail that is not good, with the status that its path has for it.
    Link(StatusCode, flows::Error),
    /// 401, and a credential did come.
    InvalidToken,
    /// 401 for a session that is over, with the lines that clear its cookies.
    SessionOver {
        /// How it ended.
        end: End,
        /// Those lines.
        clearing: HeaderMap,
    },
    /// The handler panicked.
    Internal(String),
}

impl<E: Into<flows::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Flow(error.into())
    }
}

/// A refusal because of too much: the listener is in no hurry to send it.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct DelayedRefusal;

/// What `edge` turns into a body.
#[derive(Debug, Clone)]
pub(in crate::http) struct Failure {
    pub(in crate::http) status: StatusCode,
    code: &'static str,
    message: String,
    errors: Option<BTreeMap<String, Vec<String>>>,
    /// For the log alone.
    pub(in crate::http) cause: Option<String>,
    /// A page has said it: there is no body to write.
    pub(in crate::http) shown: bool,
}

impl Failure {
    /// The body.
    pub(in crate::http) fn body(&self, request_id: &str) -> String {
        let mut body = json!({ "code": self.code, "message": self.message });
        if let Some(errors) = &self.errors {
            body["errors"] = json!(errors);
        }
        if self.status.is_server_error() {
            body["requestId"] = Value::from(request_id);
        }
        body.to_string()
    }

    /// The body at an endpoint of OAuth (RFC 6749 section 5.2). What has no code there has one of
    /// section 4.1.2.1, as is usual.
    pub(in crate::http) fn oauth_body(&self) -> String {
        let (error, description) = match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                ("temporarily_unavailable", "try again later")
            }
            status if status.is_server_error() => {
                ("server_error", "something went wrong on our side")
            }
            _ => ("invalid_request", "this is no request of RFC 6749"),
        };
        json!({ "error": error, "error_description": description }).to_string()
    }

    /// The stable code.
    pub(in crate::http) fn code(&self) -> &'static str {
        self.code
    }
}

/// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): what is allowed, and
/// how long until something is again.
fn rate_limit(limited: &flows::limit::rate_limit::Limited) -> Vec<(HeaderName, HeaderValue)> {
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

/// Rounded up: who waits so long is not refused again by a fraction.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// How long a client should wait after a 503.
const RETRY: Duration = Duration::from_secs(1);

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
        let policy = if let Self::Flow(flows::Error::Limited(limited)) = &self {
            Some(rate_limit(limited))
        } else {
            None
        };
        let cause = match &self {
            Self::Flow(flows::Error::Unavailable(cause) | flows::Error::Internal(cause))
            | Self::Internal(cause) => Some(cause.clone()),
            // A flood is no fault of ours: it does not fill the log with errors.
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
            cause,
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
        if let Some(wait) = retry {
            let seconds = HeaderValue::from(whole_seconds(wait));
            headers.insert("x-retry-after", seconds.clone());
            headers.insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl Error {
    /// Refuses a query that lacks a field.
    pub(in crate::http) fn missing(field: &str) -> Self {
        Self::Validation(
            Source::Query,
            BTreeMap::from([(field.to_owned(), vec!["is required".to_owned()])]),
        )
    }

    /// How long to wait before another attempt.
    pub(in crate::http) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Flow(
                flows::Error::TooManyRequests(wait)
                | flows::Error::Limited(flows::limit::rate_limit::Limited { wait, .. }),
            ) => Some(*wait),
            Self::Flow(flow) if flow_status(flow) == StatusCode::SERVICE_UNAVAILABLE => Some(RETRY),
            _ => None,
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Flow(flow) => flow_status(flow),
            Self::BadRequest(_) | Self::Validation(..) | Self::FieldNotAllowed(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidOrigin
            | Self::MissingOrNullOrigin
            | Self::InvalidCallbackUrl
            | Self::InvalidRedirectUrl
            | Self::InvalidErrorCallbackUrl
            | Self::InvalidNewUserCallbackUrl
            | Self::InvalidFormToken => StatusCode::FORBIDDEN,
            Self::KeysTooYoung => StatusCode::CONFLICT,
            Self::Link(status, _) => *status,
            Self::InvalidToken | Self::SessionOver { .. } => StatusCode::UNAUTHORIZED,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code_and_message().0
    }

    /// The sentence beside it.
    pub(in crate::http) fn message(&self) -> String {
        self.code_and_message().1
    }

    fn code_and_message(&self) -> (&'static str, String) {
        match self {
            Self::Flow(flow) | Self::Link(_, flow) => (flow_code(flow), flow_message(flow)),
            Self::BadRequest(message) => ("BAD_REQUEST", message.clone()),
            Self::Validation(source, errors) => {
                let source = source.name();
                let lines: Vec<String> = errors
                    .iter()
                    .flat_map(|(field, all)| {
                        all.iter().map(move |m| format!("[{source}.{field}] {m}"))
                    })
                    .collect();
                ("VALIDATION_ERROR", lines.join("; "))
            }
            Self::FieldNotAllowed(field) => (
                "FIELD_NOT_ALLOWED",
                format!("{field} is not allowed to be set"),
            ),
            Self::UnsupportedMediaType(message) => ("UNSUPPORTED_MEDIA_TYPE", message.clone()),
            Self::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", "The body is larger than 64 KiB".into()),
            Self::RequestTimeout => ("REQUEST_TIMEOUT", "The body came too slowly".into()),
            Self::HeadersTooLarge => (
                "REQUEST_HEADER_FIELDS_TOO_LARGE",
                "The path, the query and the headers are too long, or there are too many headers"
                    .into(),
            ),
            Self::NotFound => ("NOT_FOUND", "There is nothing at this path".into()),
            Self::MethodNotAllowed => (
                "METHOD_NOT_ALLOWED",
                "This path does not answer this method".into(),
            ),
            Self::InvalidOrigin => ("INVALID_ORIGIN", "Invalid origin".into()),
            Self::MissingOrNullOrigin => {
                ("MISSING_OR_NULL_ORIGIN", "Missing or null Origin".into())
            }
            Self::InvalidCallbackUrl => ("INVALID_CALLBACK_URL", "Invalid callbackURL".into()),
            Self::InvalidRedirectUrl => ("INVALID_REDIRECT_URL", "Invalid redirectTo".into()),
            Self::InvalidErrorCallbackUrl => (
                "INVALID_ERROR_CALLBACK_URL",
                "Invalid errorCallbackURL".into(),
            ),
            Self::InvalidNewUserCallbackUrl => (
                "INVALID_NEW_USER_CALLBACK_URL",
                "Invalid newUserCallbackURL".into(),
            ),
            Self::InvalidFormToken => (
                "INVALID_FORM_TOKEN",
                "This form was shown to another session".into(),
            ),
            Self::KeysTooYoung => (
                "KEYS_TOO_YOUNG",
                "The next key is not known to every verifier yet".into(),
            ),
            Self::SessionOver {
                end: End::Revoked | End::SignedOut(_) | End::Replaced,
                ..
            } => ("UNAUTHORIZED", "The session was revoked".into()),
            Self::SessionOver {
                end: End::Expired, ..
            } => ("UNAUTHORIZED", "The session has expired".into()),
            Self::InvalidToken | Self::SessionOver { .. } => {
                ("UNAUTHORIZED", "Unauthorized".into())
            }
            Self::Internal(_) => (
                "INTERNAL_SERVER_ERROR",
                "Something went wrong on our side".into(),
            ),
        }
    }
}

/// What is wrong inside is for the log, not for the client.
fn flow_message(error: &flows::Error) -> String {
    match flow_status(error) {
        StatusCode::SERVICE_UNAVAILABLE if matches!(error, flows::Error::OutOfTime) => {
            error.to_string()
        }
        StatusCode::SERVICE_UNAVAILABLE => flows::Error::Unavailable(String::new()).to_string(),
        StatusCode::INTERNAL_SERVER_ERROR => flows::Error::Internal(String::new()).to_string(),
        _ => error.to_string(),
    }
}

pub(in crate::http) async fn not_found() -> Error {
    Error::NotFound
}

pub(in crate::http) async fn method_not_allowed() -> Error {
    Error::MethodNotAllowed
}

/// Outside `edge`, the body is written here.
pub(in crate::http) async fn method_not_allowed_plain() -> Response {
    crate::http::edge::outermost::render(
        Error::MethodNotAllowed.into_response(),
        &crate::http::edge::outermost::new_request_id(),
    )
}

/// On a connection over a limit.
pub(in crate::http) async fn busy() -> Error {
    Error::Flow(flows::Error::Busy)
}
