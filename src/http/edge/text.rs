//! Refuses text that no path, query or form may contain: bytes that are not UTF-8, and control
//! characters. Such text has no legitimate use, cannot be stored by Postgres (NUL), and would get
//! into headers and logs. It is refused before it is used, so that no handler has to check it.

use axum::http::Uri;
use serde_json::{Map, Value};

use super::error::Error;

/// Refuses a path or a query with such text: 400.
pub(in crate::http) fn check(uri: &Uri) -> Result<(), Error> {
    let problem = if is_plain(uri.path(), false) {
        uri.query()
            .is_some_and(|query| !is_plain(query, true))
            .then_some("query")
    } else {
        Some("path")
    };
    match problem {
        Some(part) => Err(Error::BadRequest(format!(
            "The {part} contains control characters or is not UTF-8"
        ))),
        None => Ok(()),
    }
}

/// Returns whether a percent-encoded text decodes to UTF-8 without control characters. In a form,
/// `+` is a space.
pub(in crate::http) fn is_plain(encoded: &str, form: bool) -> bool {
    let decoded = decode(encoded.as_bytes(), form);
    std::str::from_utf8(&decoded).is_ok_and(|text| !text.chars().any(char::is_control))
}

/// Returns whether the body of a form decodes to UTF-8 without NUL; line breaks are allowed.
pub(in crate::http) fn is_storable(form: &[u8]) -> bool {
    std::str::from_utf8(&decode(form, true)).is_ok_and(|text| !text.contains('\0'))
}

fn decode(bytes: &[u8], form: bool) -> Vec<u8> {
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|b| char::from(*b).to_digit(16))
            .and_then(|d| u8::try_from(d).ok())
    };
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 2;
            }
            (b'+', _, _) if form => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
        at += 1;
    }
    decoded
}

/// Returns the members of a JSON body that contain a NUL character anywhere, in a name or a text.
pub(in crate::http) fn with_nul(members: &Map<String, Value>) -> Vec<String> {
    fn holds(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(holds),
            Value::Object(members) => members
                .iter()
                .any(|(name, value)| name.contains('\0') || holds(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    members
        .iter()
        .filter(|(name, value)| name.contains('\0') || holds(value))
        .map(|(name, _)| name.replace('\0', ""))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_broken_utf_8_are_found_however_they_are_written() {
        for good in [
            "",
            "a=1&b=%C3%A9",
            "a=%e2%82%ac+x",
            "a=100%&b=%zz&c=%",
            "a=%F0%9F%98%80",
            "searchValue=a%2Fb",
            "a=b%0",
        ] {
            assert!(is_plain(good, true), "{good}");
        }
        for bad in [
            "a=%00",
            "%00=a",
            "a=%ff",
            "a=%C3",
            "a=%C3&b=%28",
            "a=%c0%80",
            "a=%ed%a0%80",
            "a=%0a",
            "a=%1b",
            "a=%7f",
            "a=%C2%85",
            "a=%f5%80%80%80",
        ] {
            assert!(!is_plain(bad, true), "{bad}");
        }
        assert!(
            is_storable(b"text=a%0d%0ab")
                && !is_storable(b"text=%00")
                && !is_storable(b"text=\xff")
                && !is_storable(b"text=\0")
        );
    }
}
