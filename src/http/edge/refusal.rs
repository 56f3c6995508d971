//! Replaces the refusals that hyper sends if it cannot parse a request: with the id, the code and
//! the headers of every answer.

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header;
use axum::response::Response;
use futures_util::FutureExt;
use http_body_util::BodyExt;

use super::error::Error;
use super::outermost;

/// Returns the refusal to send in place of these bytes of hyper's.
pub(in crate::http) fn instead_of(hyper: &[u8]) -> Bytes {
    let text = String::from_utf8_lossy(hyper);
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default();
    let error = match status {
        "414" | "431" => Error::HeadersTooLarge,
        _ => Error::BadRequest("this request is not valid HTTP/1.1".into()),
    };
    // hyper's headers about the connection and the date are kept.
    let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
    written(outermost::refuse(error), kept)
}

fn written<'l>(response: Response, kept: impl Iterator<Item = &'l str>) -> Bytes {
    let (parts, body) = response.into_parts();
    // The body of a refusal is complete in memory.
    let body = body
        .collect()
        .now_or_never()
        .and_then(Result::ok)
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    tracing::info!(
        status = parts.status.as_u16(),
        request_id = id(&parts.headers),
        "this is not an HTTP request"
    );
    let mut text = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    for line in kept {
        text.extend_from_slice(line.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    for (name, value) in parts
        .headers
        .iter()
        .filter(|(name, _)| *name != header::CONTENT_LENGTH)
    {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    text.extend_from_slice(&body);
    text.into()
}

fn id(headers: &HeaderMap) -> &str {
    headers
        .get(outermost::REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default()
}
