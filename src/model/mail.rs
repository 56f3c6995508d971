//! Mails and the links in them. `mail` renders and sends them.

use std::net::IpAddr;
use std::str::FromStr;

use crate::model::account::email::Email;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::login::email_code::CodePurpose;

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

/// What the reader of a mail can do with its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Prove access to the mailbox.
    VerifyEmail,
    /// Choose a new password.
    ResetPassword,
    /// Agree, from the old mailbox, to a change of the email address.
    ApproveChange,
    /// Prove access to the new mailbox, which completes the change.
    VerifyChange,
    /// Delete the account.
    DeleteUser,
    /// Choose the first password of an account that an admin created, which also proves the
    /// mailbox.
    Invitation,
}

impl Purpose {
    /// Lists every purpose of a link.
    pub const ALL: [Self; 6] = [
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::ApproveChange,
        Self::VerifyChange,
        Self::DeleteUser,
        Self::Invitation,
    ];

    /// Returns the text that is stored.
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

    /// Parses the stored text; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }
}

/// The database row of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailToken {
    /// The id of the row. The link's token is an HMAC of it.
    pub id: EventId,
    /// What the link lets its reader do.
    pub purpose: Purpose,
    /// The user whom the link belongs to.
    pub user: UserId,
    /// The user's email address when the link was made. The link is invalid once it has changed.
    pub email: Email,
    /// The new email address, if the link is for a change.
    pub new_email: Option<Email>,
    /// When it was made.
    pub created_at: Timestamp,
    /// End of validity, exclusive.
    pub expires_at: Timestamp,
    /// The session that asked for the link; a change of the email address does not end it.
    pub session: Option<SessionId>,
}

/// Which mail it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// A mail with a link for this purpose.
    Link(Purpose),
    /// A mail with a code for this purpose, and perhaps a link beside it.
    Code(CodePurpose),
    /// The password was changed or reset.
    PasswordChanged,
    /// The email address was changed; sent to the old one.
    EmailChanged,
    /// A refresh token was used twice, so another party has a copy.
    RefreshTokenReused,
    /// A sign-in from a device that was not known.
    NewSignIn,
    /// A sign-up with an email address that already has an account; sent to its owner.
    SignedUpAgain,
    /// An authenticator app was enrolled, and two-step sign-in is on.
    FactorEnrolled,
    /// Two-step sign-in was turned off.
    FactorRemoved,
    /// An operator or an admin removed every second factor.
    FactorsReset,
    /// A recovery code was used.
    RecoveryCodeUsed,
    /// New recovery codes were made.
    RecoveryCodesRenewed,
    /// A passkey was added to the account.
    PasskeyAdded,
    /// A passkey was removed from the account.
    PasskeyRemoved,
    /// A passkey was used whose authenticator has a copy.
    PasskeyCloned,
    /// Another party has entered the right password and then wrong codes.
    LoginGuessed,
}

impl Template {
    /// Lists every template without a link.
    pub const NOTICES: [Self; 14] = [
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::RefreshTokenReused,
        Self::NewSignIn,
        Self::SignedUpAgain,
        Self::FactorEnrolled,
        Self::FactorRemoved,
        Self::FactorsReset,
        Self::RecoveryCodeUsed,
        Self::RecoveryCodesRenewed,
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::PasskeyCloned,
        Self::LoginGuessed,
    ];

    /// Returns every template of a mail.
    pub fn all() -> impl Iterator<Item = Self> {
        let links = Purpose::ALL.into_iter().map(Self::Link);
        let codes = CodePurpose::ALL.into_iter().map(Self::Code);
        links.chain(codes).chain(Self::NOTICES)
    }

    /// Returns the stored text, which is also the name of the template's files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link(purpose) => purpose.as_str(),
            Self::Code(purpose) => purpose.as_str(),
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::NewSignIn => "new_sign_in",
            Self::SignedUpAgain => "signed_up_again",
            Self::FactorEnrolled => "factor_enrolled",
            Self::FactorRemoved => "factor_removed",
            Self::FactorsReset => "factors_reset",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::RecoveryCodesRenewed => "recovery_codes_renewed",
            Self::PasskeyAdded => "passkey_added",
            Self::PasskeyRemoved => "passkey_removed",
            Self::PasskeyCloned => "passkey_cloned",
            Self::LoginGuessed => "login_guessed",
        }
    }

    /// Parses the stored text; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|template| template.as_str() == text)
    }
}

/// A mail that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// Its `Message-ID`. A mail that is sent twice after a crash keeps it, so that the copy can be
    /// recognised.
    pub id: EventId,
    /// Which mail it is.
    pub template: Template,
    /// The recipient. `None` if no mail is sent, although the row has to look as if one were.
    pub recipient: Option<Email>,
    /// The row of the link or of the code. `None` while the mail is an unresolved request: the account behind the
    /// email address is looked up when the mail is sent, so that the response time reveals nothing.
    pub token: Option<EventId>,
    /// Further values for the template; contains no secret.
    pub detail: serde_json::Map<String, serde_json::Value>,
    /// The number of attempts so far.
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

    #[test]
    fn templates_and_purposes_are_stored_by_names_that_read_back() {
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::parse(purpose.as_str()), Some(purpose));
            assert_eq!(Template::Link(purpose).as_str(), purpose.as_str());
        }
        for template in Template::all() {
            assert_eq!(Template::parse(template.as_str()), Some(template));
        }
        let notices = Template::NOTICES.map(Template::as_str);
        assert_eq!(
            notices,
            [
                "password_changed",
                "email_changed",
                "refresh_token_reused",
                "new_sign_in",
                "signed_up_again",
                "factor_enrolled",
                "factor_removed",
                "factors_reset",
                "recovery_code_used",
                "recovery_codes_renewed",
                "passkey_added",
                "passkey_removed",
                "passkey_cloned",
                "login_guessed"
            ]
        );
        assert_eq!((Purpose::parse("x"), Template::parse("x")), (None, None));
    }
}
