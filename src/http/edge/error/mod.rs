//! Errors of HTTP. `codes` maps each to a stable code and a message (an interface, listed in
//! `docs/errors.md`), `statuses` to a status; `render` makes the response. An error travels as a
//! response extension; `edge` writes the body `{code, message, errors?, requestId?}`, adds the
//! request id and logs the cause once.

mod codes;
mod render;
mod statuses;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::flows;
use crate::model::login::policy::Demand;
use crate::model::session::session::End;

pub(in crate::http) use render::{DelayedRefusal, Failure};
use statuses::flow_status;

/// How long a client should wait after a 503.
const RETRY: Duration = Duration::from_secs(1);

/// The part of a request that contains a field.
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

/// An error that is sent to a client.
#[derive(Debug)]
pub enum Error {
    /// The error of a flow.
    Flow(flows::Error),
    /// The body is not valid JSON.
    BadRequest(String),
    /// Fields with problems: messages by field.
    Validation(Source, BTreeMap<String, Vec<String>>),
    /// A field that clients may not set.
    FieldNotAllowed(String),
    /// The body is not JSON by its media type; the text names the given and the allowed types.
    UnsupportedMediaType(String),
    /// The body is larger than the limit.
    PayloadTooLarge,
    /// The body was sent too slowly.
    RequestTimeout,
    /// There are too many headers, or they are too long.
    HeadersTooLarge,
    /// The path does not exist.
    NotFound,
    /// The path does not support the method.
    MethodNotAllowed,
    /// The origin is not trusted; with advice for a developer if the public URL is loopback.
    InvalidOrigin(Option<String>),
    /// A cross-site request without an origin, or with `null`; with the same advice.
    MissingOrNullOrigin(Option<String>),
    /// `callbackURL` is not trusted.
    InvalidCallbackUrl,
    /// `redirectTo` is not trusted.
    InvalidRedirectUrl,
    /// `errorCallbackURL` is not trusted.
    InvalidErrorCallbackUrl,
    /// `newUserCallbackURL` is not trusted.
    InvalidNewUserCallbackUrl,
    /// A form that was shown to another session.
    InvalidFormToken,
    /// The keys cannot be rotated yet, or have just been.
    KeysTooYoung,
    /// The link or the code of a mail is refused; with the status that its path has for this.
    Link(StatusCode, flows::Error),
    /// 401 although a credential was sent.
    InvalidToken,
    /// 401 for a session that has ended, with the lines that clear its cookies.
    SessionOver {
        /// How the session ended.
        end: End,
        /// The lines that clear its cookies.
        clearing: HeaderMap,
    },
    /// The account was made, and its mailbox has to be verified first; with the token by which the device
    /// is known then.
    MailboxToVerify(Option<String>),
    /// The session does not meet a demand; with the members of the body that say what would.
    StepUp(Demand, Value),
    /// The handler panicked.
    Internal(String),
}

impl<E: Into<flows::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Flow(error.into())
    }
}

impl Error {
    /// Makes the error for a query that lacks a field.
    pub(in crate::http) fn missing(field: &str) -> Self {
        Self::Validation(
            Source::Query,
            BTreeMap::from([(field.to_owned(), vec!["is required".to_owned()])]),
        )
    }

    /// Returns how long to wait before another attempt.
    pub(in crate::http) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Flow(
                flows::Error::TooManyRequests(wait)
                | flows::Error::KeysNotReady(wait)
                | flows::Error::Limited(crate::model::limit::rate::Limited { wait, .. }),
            ) => Some(*wait),
            Self::Flow(flow) if flow_status(flow) == StatusCode::SERVICE_UNAVAILABLE => Some(RETRY),
            _ => None,
        }
    }

    /// Returns the HTTP status.
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
            Self::InvalidOrigin(_)
            | Self::MissingOrNullOrigin(_)
            | Self::InvalidCallbackUrl
            | Self::InvalidRedirectUrl
            | Self::InvalidErrorCallbackUrl
            | Self::InvalidNewUserCallbackUrl
            | Self::InvalidFormToken
            | Self::MailboxToVerify(_)
            | Self::StepUp(..) => StatusCode::FORBIDDEN,
            Self::KeysTooYoung => StatusCode::CONFLICT,
            Self::Link(status, _) => *status,
            Self::InvalidToken | Self::SessionOver { .. } => StatusCode::UNAUTHORIZED,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        self.code_and_message().0
    }

    /// Returns the message for the client.
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

/// Answers on a connection over a limit.
pub(in crate::http) async fn busy() -> Error {
    Error::Flow(flows::Error::Busy)
}
