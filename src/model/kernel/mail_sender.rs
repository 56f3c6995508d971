//! Who sends mails: the sender's name and email address, and the name that the mail client gives of itself.

use std::net::IpAddr;
use std::str::FromStr;

/// The name that a mail client gives in `EHLO` (RFC 5321 section 4.1.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Helo {
    /// A host name, such as `mail.example.com`.
    Domain(String),
    /// An address literal: `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
    Address(IpAddr),
}

/// The text is neither a host name nor an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a host name such as mail.example.com, or an IP address")]
pub struct InvalidHelo;

impl FromStr for Helo {
    type Err = InvalidHelo;

    fn from_str(text: &str) -> Result<Self, InvalidHelo> {
        let literal = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = literal.strip_prefix("IPv6:").unwrap_or(literal).parse() {
            return Ok(Self::Address(address));
        }
        let is_label = |label: &str| {
            let plain = label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
            plain
                && (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let good = text.len() <= 253 && text.split('.').all(is_label);
        if good {
            Ok(Self::Domain(text.to_ascii_lowercase()))
        } else {
            Err(InvalidHelo)
        }
    }
}

/// The sender of the mails: an optional name and an email address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The name that mail programs show; empty for none.
    pub name: String,
    /// The local part of the email address, before the `@`.
    pub local: String,
    /// The domain of the email address: a host name. Every `Message-ID` ends with it, too.
    pub domain: String,
}

/// The text does not name a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write one email address, with a name or without: Example <hello@example.com>. The name may have 100 characters; it may contain <>\\\"@;, only in quotes"
)]
pub struct InvalidSender;

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, InvalidSender> {
        let (name, address) = match text
            .strip_suffix('>')
            .and_then(|rest| rest.rsplit_once('<'))
        {
            Some((name, address)) => (name.trim_end(), address),
            None => ("", text),
        };
        // RFC 5322 section 3.2.4: inside quotes, characters with a special meaning stand for
        // themselves.
        let quoted = name
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let forbidden: &[char] = if quoted.is_some() {
            &['"', '\\', '<', '>']
        } else {
            &['<', '>', '"', '\\', '@', ';', ',', ':', '(', ')', '[', ']']
        };
        let name = quoted.unwrap_or(name);
        let (local, domain) = address.split_once('@').ok_or(InvalidSender)?;
        let is_atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&b);
        let is_local = (1..=64).contains(&local.len())
            && local.bytes().all(is_atom)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..");
        let is_domain = matches!(domain.parse(), Ok(Helo::Domain(_)));
        let good = is_local
            && is_domain
            && name.chars().count() <= 100
            && !name.contains(forbidden)
            && !name.chars().any(char::is_control);
        if good {
            Ok(Self {
                name: name.to_owned(),
                local: local.to_owned(),
                domain: domain.to_owned(),
            })
        } else {
            Err(InvalidSender)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_one_address_and_perhaps_a_name() {
        let sender = |name: &str, local: &str, domain: &str| {
            Ok(Sender {
                name: name.into(),
                local: local.into(),
                domain: domain.into(),
            })
        };
        for (text, is) in [
            (
                "Countersign <countersign@localhost>",
                sender("Countersign", "countersign", "localhost"),
            ),
            ("hello@example.com", sender("", "hello", "example.com")),
            ("<hello@example.com>", sender("", "hello", "example.com")),
            (
                "M\u{fc}ller & S\u{f6}hne <no-reply+x@mail.example.com>",
                sender("M\u{fc}ller & S\u{f6}hne", "no-reply+x", "mail.example.com"),
            ),
            (
                "\"Example, Inc.; (Notes)\" <a@b.example>",
                sender("Example, Inc.; (Notes)", "a", "b.example"),
            ),
        ] {
            assert_eq!(text.parse(), is, "{text}");
        }
        for odd in [
            "",
            "Example",
            "a@",
            "@b.example",
            "a@b@c.example",
            "a@b.example, c@d.example",
            "A <a@b.example>, C <c@d.example>",
            "Example, Inc. <a@b.example>",
            "A <a@b.example",
            "A a@b.example>",
            "A <<a@b.example>>",
            "a b@c.example",
            "a@[127.0.0.1]",
            "a@192.0.2.1",
            "a@b_c.example",
            "\u{fc}@b.example",
            "a@b\u{fc}cher.example",
            "A\r\nBcc: x@y.example <a@b.example>",
            ".a@b.example",
            "a..b@c.example",
            "\"a\" b\" <a@b.example>",
        ] {
            assert_eq!(odd.parse::<Sender>(), Err(InvalidSender), "{odd:?}");
        }
    }

    #[test]
    fn a_name_for_ehlo_is_a_host_or_an_address_and_brings_no_line_of_its_own() {
        assert_eq!(
            "Mail.Example.com".parse(),
            Ok(Helo::Domain("mail.example.com".into()))
        );
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("[192.0.2.1]", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[IPv6:2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Helo::Address(address.parse().unwrap())),
                "{text}"
            );
        }
        for odd in [
            "",
            ".",
            "a..b",
            "-a.example",
            "a-.example",
            "a b",
            "a\r\nMAIL FROM:<x>",
            "host:25",
            "ex\u{e4}mple.com",
            &"a".repeat(64),
            "under_score.example",
        ] {
            assert_eq!(odd.parse::<Helo>(), Err(InvalidHelo), "{odd:?}");
        }
    }
}
