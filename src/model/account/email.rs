//! Email addresses. One canonical form (lower case) for sign-up, sign-in and the command line, so
//! that one mailbox is one account. The accepted syntax is that of the Better Auth contract
//! (section 12): ASCII, no quotes, no display name, a real domain.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A syntactically valid email address in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Email(String);

/// The text is not an email address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write an email address such as ana@example.com, in at most 254 ASCII characters")]
pub struct InvalidEmail;

impl Email {
    /// Returns the canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the email address without the part from `+` to `@` (subaddressing, RFC 5233): at
    /// most providers all of these are one mailbox.
    pub fn mailbox(&self) -> String {
        let local = self.0.split_once('@').map_or("", |(local, _)| local);
        let plain = local
            .split('+')
            .next()
            .filter(|plain| !plain.is_empty())
            .unwrap_or(local);
        format!("{plain}@{}", self.domain())
    }

    /// Returns the domain, which is the part after the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl Email {
    /// Returns the email address as it may be shown where the user need not be known: its first
    /// letter and its domain, such as `a…@example.com`.
    pub fn masked(&self) -> String {
        let first: String = self.0.chars().take(1).collect();
        format!("{first}…@{}", self.domain())
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail)?;
        if text.len() <= 254 && is_local_part(local) && is_domain(domain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidEmail)
        }
    }
}

fn is_local_part(local: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"_'+-.".contains(&c);
    (1..=64).contains(&local.len())
        && local.bytes().all(allowed)
        && !local.starts_with('.')
        && !local.ends_with(['.', '\''])
        && !local.contains("..")
}

fn is_domain(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    let is_label = |l: &&str| {
        l.len() <= 63
            && l.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !l.ends_with('-')
            && l.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    let last = labels[labels.len() - 1];
    let is_top = last.len() >= 2
        && (last.bytes().all(|c| c.is_ascii_alphabetic()) || last.starts_with("xn--"));
    labels.len() >= 2 && labels.iter().all(is_label) && is_top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_ordinary_addresses_in_one_form() {
        for (text, canonical) in [
            ("A@X.com", "a@x.com"),
            (
                "o'neil+tag@sub.example.co.uk",
                "o'neil+tag@sub.example.co.uk",
            ),
        ] {
            assert_eq!(text.parse::<Email>().expect(text).as_str(), canonical);
        }
    }

    #[test]
    fn refuses_everything_odd() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@localhost",
            "a@x@y.com",
            "X <a@x.com>",
            "a@x.com,b@x.com",
            "a b@x.com",
            " a@x.com",
            "a@x.com ",
            "a..b@x.com",
            ".a@x.com",
            "a.@x.com",
            "a'@x.com",
            "mıke@x.com",
            "a@x.c",
            "a@-x.com",
            "a@x-.com",
            "a@x.com\r\nBcc: b@x.com",
            "a@x.com\0",
            "\"a\"@x.com",
            "a@x.com.",
            &long,
        ] {
            assert_eq!(text.parse::<Email>(), Err(InvalidEmail), "{text:?}");
        }
    }

    #[test]
    fn a_masked_address_keeps_its_first_letter_and_its_domain() {
        let email: Email = "ana+shop@example.com".parse().unwrap();
        assert_eq!(email.masked(), "a…@example.com");
    }

    #[test]
    fn a_mailbox_is_the_address_without_what_follows_a_plus() {
        for (text, mailbox) in [
            ("ana+shop@example.com", "ana@example.com"),
            ("ana+a+b@example.com", "ana@example.com"),
            ("ana@example.com", "ana@example.com"),
            ("+ana@example.com", "+ana@example.com"),
        ] {
            let email: Email = text.parse().unwrap();
            assert_eq!(email.mailbox(), mailbox);
            assert_eq!(email.to_string(), text);
            assert_eq!(email.domain(), "example.com");
        }
    }
}
