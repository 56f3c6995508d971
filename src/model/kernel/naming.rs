//! Names that the operator chooses: of cookies, the service, roles, permissions, claims and
//! audiences. Each has a type or a check of its own, because each is used in a different syntax.

use std::fmt;
use std::str::FromStr;

/// The common prefix of the names of all cookies, without the dot that follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookiePrefix(String);

/// The reason why a text cannot be the prefix of cookie names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCookiePrefix {
    /// It contains other characters. RFC 6265 allows more, but every client and proxy reads these
    /// alike.
    #[error("write 1 to 64 letters, digits, - and _, such as better-auth")]
    Malformed,
    /// Browsers reject a cookie with this prefix unless its attributes are those that the prefix
    /// demands.
    #[error(
        "browsers reserve {0} for cookies with certain attributes; the program adds the prefix that fits by itself, so write a name such as better-auth"
    )]
    Reserved(&'static str),
}

/// Prefixes with a meaning for browsers (RFC 6265bis section 4.1.3, and those that Chromium adds),
/// in any case.
const RESERVED_PREFIXES: [&str; 4] = ["__Host-", "__Secure-", "__Http-", "__Host-Http-"];

impl FromStr for CookiePrefix {
    type Err = InvalidCookiePrefix;

    fn from_str(text: &str) -> Result<Self, InvalidCookiePrefix> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if !(1..=64).contains(&text.len()) || !text.bytes().all(is_plain) {
            return Err(InvalidCookiePrefix::Malformed);
        }
        let lower = text.to_ascii_lowercase();
        match RESERVED_PREFIXES
            .into_iter()
            .find(|prefix| lower.starts_with(prefix.to_ascii_lowercase().trim_end_matches('-')))
        {
            Some(prefix) => Err(InvalidCookiePrefix::Reserved(prefix)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for CookiePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of the service in mails and pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName(String);

/// The text is empty, or too long for a line of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a name of 1 to 100 characters")]
pub struct InvalidName;

impl FromStr for ServiceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName)
        }
    }
}

impl ServiceName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks the name of a role under `[roles]`. The column `role` joins names with commas.
///
/// # Errors
/// A text for the operator that says which characters are allowed.
pub fn role(name: &str) -> Result<(), String> {
    let good = (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || "-_.:/ ".contains(c))
        && name.trim() == name;
    if good {
        Ok(())
    } else {
        Err("the name of a role is 1 to 64 letters, digits, - _ . : / and spaces inside, such as support".into())
    }
}

/// Checks a permission or an audience: the characters that RFC 6749 section 3.3 allows in a scope,
/// without the comma, which separates items of lists.
///
/// # Errors
/// A text for the operator that says which characters are allowed.
pub fn token(text: &str) -> Result<String, String> {
    let good = (1..=512).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"\\,".contains(&b));
    if good {
        Ok(text.to_owned())
    } else {
        Err("write 1 to 512 visible ASCII characters without spaces, quotes, commas and backslashes".into())
    }
}

/// Checks the name of an audience under `[[audiences]]`, which is the last segment of the path of
/// its JWKS. `all` is the path of every key; the others are labels of the default audience and of
/// several at once.
///
/// # Errors
/// A text for the operator that says which characters are allowed.
pub fn audience(name: &str) -> Result<(), String> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if ["all", "default", "several"].contains(&name) {
        return Err(format!(
            "the name {name:?} has a meaning of its own; write another one, such as billing"
        ));
    }
    if (1..=40).contains(&name.len()) && name.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(
            "the name of an audience is 1 to 40 lower-case letters, digits and -, such as billing"
                .into(),
        )
    }
}

/// Checks the name of a claim under `[tokens.claims]`.
///
/// # Errors
/// A text for the operator that says which characters are allowed.
pub fn claim(name: &str) -> Result<(), String> {
    let good = (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b));
    if good {
        Ok(())
    } else {
        Err(
            "the name of a claim is 1 to 128 letters, digits, - _ . : and /, such as department"
                .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_prefix_is_plain_and_none_that_browsers_keep() {
        for good in ["better-auth", "app", "__app", "Host-x", "a_b-c9"] {
            assert_eq!(good.parse::<CookiePrefix>().unwrap().to_string(), good);
        }
        for reserved in [
            "__Host-app",
            "__host-app",
            "__SECURE-app",
            "__Secure-",
            "__Host",
            "__Http-x",
            "__Host-Http-x",
        ] {
            assert!(
                matches!(
                    reserved.parse::<CookiePrefix>(),
                    Err(InvalidCookiePrefix::Reserved(_))
                ),
                "{reserved}"
            );
        }
        for bad in [
            "",
            "a.b",
            "a b",
            "a;b",
            "a=b",
            "a,b",
            "ä",
            "a\n",
            &"x".repeat(65),
        ] {
            assert_eq!(
                bad.parse::<CookiePrefix>(),
                Err(InvalidCookiePrefix::Malformed),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn names_of_services_roles_permissions_and_claims_are_held_to_their_form() {
        let service = |text: &str| {
            text.parse::<ServiceName>()
                .map(|name| name.as_str().to_owned())
        };
        for good in ["N", "Müller & Söhne", &"x".repeat(100)] {
            assert_eq!(service(good), Ok(good.to_owned()));
        }
        for bad in ["", "a\nb", "a\u{7f}", &"x".repeat(101)] {
            assert_eq!(service(bad), Err(InvalidName), "{bad:?}");
        }
        for good in ["support", "a-b_c.d:e/f g", "größe", &"x".repeat(64)] {
            assert_eq!(role(good), Ok(()), "{good}");
        }
        for bad in ["", " a", "a ", "a,b", "a;b", &"x".repeat(65)] {
            assert!(role(bad).is_err(), "{bad:?}");
        }
        for good in ["notes:read", "https://api.example", "!", &"x".repeat(512)] {
            assert_eq!(token(good), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "a\"b", "a\\b", "a,b", "ä", &"x".repeat(513)] {
            assert!(token(bad).is_err(), "{bad:?}");
        }
        for good in [
            "department",
            "https://x.example/y",
            "a-b_c.d:e",
            &"x".repeat(128),
        ] {
            assert_eq!(claim(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "ä", "a,b", "\"", &"x".repeat(129)] {
            assert!(claim(bad).is_err(), "{bad:?}");
        }
    }
}
