//! Request bodies: read within limits and parsed strictly; duplicate members are refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::app::App;
use crate::model::kernel::redirect::is_trusted_redirect;

use super::concurrency_limit::RequestPermit;
use super::error::{Error, Source};
pub(in crate::http) use super::fields::Fields;
use super::text;
use crate::http::MAX_BODY;

/// The time limit for receiving a body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A body that may be missing; `null` counts as missing.
pub(in crate::http) struct Optional(pub(in crate::http) Fields);

impl FromRequest<Arc<App>> for Fields {
    type Rejection = Error;
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        // Neither a body nor a media type: the body is missing.
        if request.headers().get(header::CONTENT_TYPE).is_none() && read_nothing(&request) {
            return Err(no_object());
        }
        require_json(&request)?;
        parse(app, &read(request).await?)
    }
}

impl FromRequest<Arc<App>> for Optional {
    type Rejection = Error;
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let checked = require_json(&request);
        let bytes = read(request).await?;
        if bytes.is_empty() {
            return Ok(Self(Fields::new(Map::new(), Source::Body)));
        }
        checked?;
        if bytes.trim_ascii() == b"null" {
            return Ok(Self(Fields::new(Map::new(), Source::Body)));
        }
        parse(app, &bytes).map(Self)
    }
}

/// JSON, or the form of a page without script, in which every value is a text.
pub(in crate::http) struct Submitted(pub(in crate::http) Fields);

const FORM: &str = "application/x-www-form-urlencoded";

impl FromRequest<Arc<App>> for Submitted {
    type Rejection = Error;
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        if media_type(&request).as_deref() != Some(FORM) {
            require_json(&request)?;
            return parse(app, &read(request).await?).map(Self);
        }
        let bytes = read(request).await?;
        if !text::is_storable(&bytes) {
            return Err(Error::BadRequest(
                "The form holds a NUL character or is not UTF-8".into(),
            ));
        }
        let mut members = Map::new();
        for (name, value) in url::form_urlencoded::parse(&bytes) {
            if members
                .insert(name.into_owned(), Value::String(value.into_owned()))
                .is_some()
            {
                return Err(Error::BadRequest("A field occurs twice in the form".into()));
            }
        }
        checked(app, Fields::new(members, Source::Form)).map(Self)
    }
}

fn read_nothing(request: &Request) -> bool {
    axum::body::HttpBody::is_end_stream(request.body())
}

/// Reads a body of at most [`MAX_BODY`] bytes.
pub(in crate::http) async fn read(request: Request) -> Result<Bytes, Error> {
    let permit = request.extensions().get::<RequestPermit>().cloned();
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let collected = tokio::time::timeout(BODY_TIME, body)
        .await
        .map_err(|_| Error::RequestTimeout)?;
    permit.as_ref().map_or(Ok(()), RequestPermit::take)?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Error::PayloadTooLarge)
        }
        Err(_) => Err(Error::BadRequest("The body was cut off".into())),
    }
}

/// Returns the media type without its parameters, in lower case.
pub(in crate::http) fn media_type(request: &Request) -> Option<String> {
    let value = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

fn require_json(request: &Request) -> Result<(), Error> {
    let message = match media_type(request) {
        Some(media) if media == "application/json" => return Ok(()),
        Some(media) => {
            let plain: String = media
                .chars()
                .filter(|c| c.is_ascii_graphic() && *c != '"')
                .take(100)
                .collect();
            format!("Content-Type \"{plain}\" is not allowed. Allowed types: application/json")
        }
        None => "Content-Type is required. Allowed types: application/json".into(),
    };
    Err(Error::UnsupportedMediaType(message))
}

fn no_object() -> Error {
    Error::Validation(
        Source::Body,
        BTreeMap::from([(String::new(), vec!["expected an object".to_owned()])]),
    )
}

fn parse(app: &App, bytes: &[u8]) -> Result<Fields, Error> {
    match serde_json::from_slice::<Json>(bytes) {
        Ok(Json::Object(members)) => storable(members).and_then(|fields| checked(app, fields)),
        Ok(Json::Other) => Err(no_object()),
        Err(_) => Err(Error::BadRequest("Invalid JSON in request body".into())),
    }
}

/// Refuses a body in which any text, at any depth and whether or not the path uses it, contains
/// what a database cannot store.
fn storable(members: Map<String, Value>) -> Result<Fields, Error> {
    let problems: BTreeMap<_, _> = text::with_nul(&members)
        .into_iter()
        .map(|name| (name, vec!["holds a NUL character".to_owned()]))
        .collect();
    if problems.is_empty() {
        Ok(Fields::new(members, Source::Body))
    } else {
        Err(Error::Validation(Source::Body, problems))
    }
}

/// Refuses a body whose redirect URLs are not trusted, whether or not the path uses them (contract
/// section 10).
fn checked(app: &App, fields: Fields) -> Result<Fields, Error> {
    let is_strange = |name| {
        fields
            .peek(name)
            .is_some_and(|url| !is_trusted_redirect(url, &app.config.server.trusted_origins))
    };
    let refusals = [
        ("callbackURL", Error::InvalidCallbackUrl),
        ("redirectTo", Error::InvalidRedirectUrl),
        ("errorCallbackURL", Error::InvalidErrorCallbackUrl),
        ("newUserCallbackURL", Error::InvalidNewUserCallbackUrl),
    ];
    refusals
        .into_iter()
        .find(|(name, _)| is_strange(name))
        .map_or(Ok(fields), |(_, refusal)| Err(refusal))
}

/// JSON without duplicate members (RFC 7493 section 2.3).
enum Json {
    Object(Map<String, Value>),
    Other,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strict;
        impl<'de> Visitor<'de> for Strict {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a member occurs twice"));
                    }
                }
                Ok(Json::Object(members))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Json::Other)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_str<E>(self, _: &str) -> Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Other)
            }
        }
        deserializer.deserialize_any(Strict)
    }
}
