//! Web URLs in settings. By the WHATWG standard the host of a URL may contain `;`, `,` and quotes,
//! which have a meaning in headers and policies. Here a host is a name of letters, digits, `-` and
//! `_`, or an IP address.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use url::Url;

/// The reason why a text is not a URL that a setting can have. It does not repeat the text, which
/// may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// The URL parser refuses it.
    #[error("is not a URL: {0}")]
    Malformed(#[from] url::ParseError),
    /// It contains a character that RFC 3986 does not allow in a URL.
    #[error(
        "holds {0:?}, which a URL cannot contain; write it percent-encoded, and a host of other scripts in its ASCII form (xn--…)"
    )]
    Character(char),
    /// It has no host, or one that is neither a DNS name nor an IP address.
    #[error("its host is neither a name of letters, digits, - and _ nor an IP address")]
    Host,
    /// It is written `https:host` or with backslashes, which browsers and programs read
    /// differently.
    #[error("write it as https://host/path")]
    Slashes,
}

/// The greatest length of a URL, in bytes.
const LONGEST: usize = 2_048;

/// Parses an absolute http or https URL.
///
/// # Errors
/// See [`InvalidUrl`]. The caller checks which of the two schemes it has and whether it may have a
/// user, a query or a fragment.
pub fn parse(text: &str) -> Result<Url, InvalidUrl> {
    if let Some(odd) = text
        .chars()
        .find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(*c))
    {
        return Err(InvalidUrl::Character(odd));
    }
    let url = Url::parse(text)?;
    if !text.contains("://") || text.len() > LONGEST {
        return Err(InvalidUrl::Slashes);
    }
    if url.host_str().is_some_and(is_host) {
        Ok(url)
    } else {
        Err(InvalidUrl::Host)
    }
}

/// Returns whether a host, as written in a URL, is a name of letters, digits, `-` and `_`, or an IP
/// address.
pub fn is_host(host: &str) -> bool {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    host.parse::<Ipv4Addr>().is_ok() || host.len() <= 253 && host.split('.').all(is_label)
}

/// The issuer of tokens, byte for byte as verifiers compare it (RFC 8414 section 2): an http or
/// https URL without user, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Issuer(String);

impl Issuer {
    /// Parses an issuer and returns it with its URL.
    ///
    /// # Errors
    /// A text for the operator that says what is wrong.
    pub fn parse(text: &str) -> Result<(Self, Url), String> {
        let url = parse(text).map_err(|e| e.to_string())?;
        let is_bare = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if is_bare && matches!(url.scheme(), "http" | "https") {
            Ok((Self(text.to_owned()), url))
        } else {
            Err(
                "an issuer is an https URL without user, query and fragment (RFC 8414 section 2)"
                    .into(),
            )
        }
    }

    /// Makes the issuer from the origin and path of the public URL.
    pub fn of(public_url: &Url) -> Self {
        Self(public_url.as_str().trim_end_matches('/').to_owned())
    }

    /// Returns the issuer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_holds_nothing_that_means_something_in_a_header() {
        for good in [
            "https://auth.example.com",
            "http://localhost:4000/",
            "https://[::1]:8443/a",
            "https://10.0.0.1",
            "https://a_b.internal/x?y=1#z",
            "https://u:p@h.example/",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "https://a;b.example",
            "https://a,b.example",
            "https://a'b.example",
            "https://a\"b.example",
            "https://a b.example",
            "https://a.example/\"x",
            "https://a.example/ü",
            "https://bücher.example",
            "https://a..example",
            "https://a.example.",
            "https:a.example",
            "https:\\\\a.example",
            "https://",
            "https://*.example",
            "data:text/html,x",
            "a.example",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_has_a_greatest_length_and_an_issuer_no_user_query_or_fragment() {
        let url = |length: usize| format!("https://a.example/{}", "x".repeat(length - 18));
        assert!(parse(&url(LONGEST - 1)).is_ok() && parse(&url(LONGEST)).is_ok());
        assert_eq!(parse(&url(LONGEST + 1)), Err(InvalidUrl::Slashes));
        for good in ["https://auth.example.com", "http://localhost:4000/id"] {
            let (issuer, url) = Issuer::parse(good).unwrap();
            assert_eq!((issuer.as_str(), issuer.to_string().as_str()), (good, good));
            assert_eq!(url, Url::parse(good).unwrap());
        }
        for bad in [
            "https://auth.example.com?x",
            "https://auth.example.com#x",
            "https://user@auth.example.com",
            "https://:secret@auth.example.com",
            "ftp://auth.example.com",
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
        let public_url = Url::parse("https://auth.example.com/").unwrap();
        assert_eq!(Issuer::of(&public_url).as_str(), "https://auth.example.com");
    }
}
