//! Refusals on their way to a client. `codes` maps each to a status, a stable code and a sentence
//! (an interface, listed in `docs/errors.md`); `render` makes the response. A refusal travels as
//! a response extension; `edge` writes the body `{code, message, errors?, requestId?}`, adds the
//! request id and logs the cause once.

mod codes;
mod render;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};

use crate::flows;
use crate::model::session::session::End;

use codes::flow_status;
pub(in crate::http) use render::{DelayedRefusal, Failure};

/// How long a client should wait after a 503.
const RETRY: Duration = Duration::from_secs(1);

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
}

pub(in crate::http) async fn not_found() -> Error {
    Error::NotFound
}

pub(in crate::http) async fn method_not_allowed() -> Error {
    Error::MethodNotAllowed
}

/// On a connection over a limit.
pub(in crate::http) async fn busy() -> Error {
    Error::Flow(flows::Error::Busy)
}
