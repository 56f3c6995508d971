//! Sentences of the catalogue whose values are more than text: links to users, times, numbers. A
//! template writes each piece escaped.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::pages::page::moment;
use crate::model::kernel::time::Timestamp;

/// One part of a sentence.
#[derive(Clone)]
pub(super) struct Piece {
    /// The text, as it was stored or written.
    pub(super) text: String,
    /// The page that the text links to; empty for none.
    pub(super) href: String,
    /// A time as an element; empty for a text.
    pub(super) time: String,
}

impl Piece {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            href: String::new(),
            time: String::new(),
        }
    }

    pub(super) fn link(text: impl Into<String>, href: String) -> Self {
        Self {
            href,
            ..Self::text(text)
        }
    }

    pub(super) fn at(time: Timestamp) -> Self {
        Self {
            time: moment(time),
            ..Self::text(String::new())
        }
    }
}

/// Splits a text at its placeholders and puts a piece in the place of each.
pub(super) fn pieces(text: &str, value: impl Fn(&str) -> Piece) -> Vec<Piece> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((before, tail)) = rest.split_once('{')
        && let Some((name, after)) = tail.split_once('}')
    {
        found.push(Piece::text(before));
        found.push(value(name));
        rest = after;
    }
    found.push(Piece::text(rest));
    found
}

/// What a segment of a path may hold as it is (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Returns a text as one segment of a path: ids of other products contain `|` and `:`.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Returns the path of a user's page.
pub(super) fn user_path(id: &str) -> String {
    format!("/auth/admin/users/{}", segment(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_split_at_its_placeholders() {
        let named = |name: &str| Piece::link(name.to_uppercase(), format!("/{name}"));
        let said: Vec<_> = pieces("{by} banned {user}.", named)
            .into_iter()
            .map(|piece| (piece.text, piece.href))
            .collect();
        let of = |text: &str, href: &str| (text.to_owned(), href.to_owned());
        assert_eq!(
            said,
            [
                of("", ""),
                of("BY", "/by"),
                of(" banned ", ""),
                of("USER", "/user"),
                of(".", "")
            ]
        );
        assert_eq!(pieces("open { and no more", named).len(), 1);
    }

    #[test]
    fn an_id_of_elsewhere_is_one_segment_of_a_path() {
        assert_eq!(
            user_path("auth0|5f:7c.8_e-1"),
            "/auth/admin/users/auth0%7C5f%3A7c.8_e-1"
        );
    }
}
