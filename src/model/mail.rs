//! Mails and what their links stand for. Words are `mail`'s business, sending too.

use std::net::IpAddr;
use std::str::FromStr;

use crate::model::account::email::Email;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;

/// The name that a mail client gives in `EHLO` (RFC 5321 section 4.1.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Helo {
    /// A host name.
    Domain(String),
    /// An address literal: `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
    Address(IpAddr),
}

/// The text is neither a host name nor an address.
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

/// Who writes the mails: a name, or none, and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The name that mail programs show; empty: none.
    pub name: String,
    /// What stands before the `@`.
    pub local: String,
    /// What stands behind it: a host name. It also ends the `Message-ID`.
    pub domain: String,
}

/// The text names no sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write one address, with a name or without: Example <hello@example.com>. The name has 100 characters at most and none of <>\\\"@;, unless it is in quotes"
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
        // RFC 5322 section 3.2.4: in quotes what would mean something else stands for itself.
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

/// What a link in a mail lets its reader do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Prove the mailbox.
    VerifyEmail,
    /// Choose a new password.
    ResetPassword,
    /// Agree, at the old address, to another one.
    ApproveChange,
    /// Prove the new mailbox, and change to it.
    VerifyChange,
    /// Delete the account.
    DeleteUser,
    /// Choose the first password of an account that an admin made, and prove the mailbox by it.
    Invitation,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::ApproveChange,
        Self::VerifyChange,
        Self::DeleteUser,
        Self::Invitation,
    ];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::ApproveChange => "approve_change",
            Self::VerifyChange => "verify_change",
            Self::DeleteUser => "delete_user",
            Self::Invitation => "invitation",
        }
    }

    /// As stored; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }
}

/// The row behind a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailToken {
    /// The link's token is an HMAC of it.
    pub id: EventId,
    /// What it is good for.
    pub purpose: Purpose,
    /// Whose it is.
    pub user: UserId,
    /// The user's address when it was made; worthless once that has changed.
    pub email: Email,
    /// The address to change to.
    pub new_email: Option<Email>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Worthless from then on.
    pub expires_at: Timestamp,
    /// The session that asked for it: the one that a change of address spares.
    pub session: Option<SessionId>,
}

/// Which mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// A link of this purpose.
    Link(Purpose),
    /// The password was changed or reset.
    PasswordChanged,
    /// The address was changed; goes to the old one.
    EmailChanged,
    /// A refresh token was used twice: somebody has a copy.
    RefreshTokenReused,
    /// A sign-in from a device that was not seen before.
    NewSignIn,
    /// Somebody signed up with an address that has an account; goes to its owner.
    SignedUpAgain,
}

impl Template {
    /// Every template without a link.
    pub const NOTICES: [Self; 5] = [
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::RefreshTokenReused,
        Self::NewSignIn,
        Self::SignedUpAgain,
    ];

    /// Returns every template.
    pub fn all() -> impl Iterator<Item = Self> {
        let links = Purpose::ALL.into_iter().map(Self::Link);
        links.chain(Self::NOTICES)
    }

    /// As stored, and the name of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link(purpose) => purpose.as_str(),
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::NewSignIn => "new_sign_in",
            Self::SignedUpAgain => "signed_up_again",
        }
    }

    /// As stored; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|template| template.as_str() == text)
    }
}

/// A mail that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// Its `Message-ID`: who gets it twice after a crash may know it by that.
    pub id: EventId,
    /// Which one.
    pub template: Template,
    /// To whom; `None`: nobody, though it must look as if.
    pub recipient: Option<Email>,
    /// The link's token. `None` while the mail is an unresolved request: the account behind the
    /// email address is looked up when the mail is sent, so that the response time reveals nothing.
    pub token: Option<EventId>,
    /// What else its words need; no secret.
    pub detail: serde_json::Map<String, serde_json::Value>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
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
