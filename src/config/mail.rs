//! `[mail]`: where mails are sent, their templates, and the lifetime of their links.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::model::kernel::loopback::LOOPBACK;
use crate::model::kernel::mail_sender::{Helo, InvalidHelo, Sender};
use crate::model::kernel::naming::ServiceName;
use crate::model::kernel::web_url::is_host;

use super::Secret;
use super::reader::Reader;
use super::units::{HOUR, MINUTE};

/// `[mail]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Mail {
    pub transport: MailTransport,
    pub from: Sender,
    pub app_name: ServiceName,
    pub templates_dir: Option<PathBuf>,
    pub lifetimes: MailLifetimes,
    pub notify_new_sign_in: bool,
}

/// `mail.transport`
#[derive(Debug, Clone)]
pub enum MailTransport {
    /// `mail.smtp_url`, with its password, `mail.smtp_timeout` and `mail.helo`.
    Smtp {
        /// The URL, including its password.
        url: Secret,
        /// The time limit for sending one mail.
        timeout: Duration,
        /// `mail.helo`, or the host of the public URL.
        helo: Helo,
    },
    /// `mail.dir`
    File(PathBuf),
    /// Mails are written to the log.
    Log,
    /// Mails are kept in this process's memory. Only `countersign dev` uses it; no setting selects
    /// it.
    Inbox,
    /// No mails are sent.
    Off,
}

impl Mail {
    /// Returns whether mails can be sent.
    pub fn sends(&self) -> bool {
        !matches!(self.transport, MailTransport::Off)
    }
}

/// The lifetimes of links.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct MailLifetimes {
    pub verify: Duration,
    pub reset: Duration,
    pub change: Duration,
    pub delete: Duration,
    pub invitation: Duration,
    pub code: Duration,
}

#[derive(Clone, Copy)]
enum Way {
    /// `Log` if only the developer reads the log, otherwise `Off`.
    Auto,
    Off,
    Log,
    File,
    Smtp,
}

/// Returns whether user and password contain only characters that RFC 3986 section 3.2.1 allows.
/// Everything before the last `@` is taken for them: otherwise, after a raw `@`, `/`, `?` or `#` in
/// a password, the parser would take the rest for another host, or for a part of the password.
fn is_encoded(url: &str) -> bool {
    let Some((info, _)) = url
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
    else {
        return true;
    };
    let mut parts = info.split('%');
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(&b))
    };
    let encoded = |text: &str| {
        text.len() >= 2
            && text.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit)
            && plain(&text[2..])
    };
    parts.next().is_none_or(plain) && parts.all(encoded)
}

/// Returns the name for `EHLO`: the setting, or the host of the public URL.
fn helo(r: &mut Reader, public_url: &Url) -> Helo {
    let own = match public_url.host() {
        Some(Host::Domain(name)) => name.parse().ok(),
        Some(Host::Ipv4(address)) => Some(Helo::Address(address.into())),
        Some(Host::Ipv6(address)) => Some(Helo::Address(address.into())),
        None => None,
    };
    let set = r.parsed("mail.helo", "", |text| {
        if text.is_empty() {
            Ok(None)
        } else {
            text.parse()
                .map(Some)
                .map_err(|e: InvalidHelo| e.to_string())
        }
    });
    let set = set.flatten();
    let own = own.unwrap_or(Helo::Address(Ipv4Addr::LOCALHOST.into()));
    let text = match &own {
        Helo::Domain(name) => name.clone(),
        Helo::Address(address) => address.to_string(),
    };
    r.became_if("mail.helo", "", &text, "it is the host of the public URL");
    set.unwrap_or(own)
}

/// Refuses URLs without TLS, except for loopback: mails carry links that set passwords.
fn check_smtp(url: &str, allow_insecure: bool) -> Result<(), String> {
    const FORM: &str =
        "write smtps://user:password@host, or smtp://user:password@host:587?tls=required";
    if !is_encoded(url) {
        return Err(
            "a character of the user or the password is not allowed in a URL: percent-encode it (@ is %40, / is %2F, # is %23, ? is %3F, % is %25)"
                .to_owned(),
        );
    }
    let url = Url::parse(url).map_err(|_| FORM.to_owned())?;
    let decodes = |text: &str| percent_decode_str(text).decode_utf8().is_ok();
    if !decodes(url.username()) || !url.password().is_none_or(decodes) {
        return Err("the user or the password is not UTF-8 once it is percent-decoded".to_owned());
    }
    if !url.username().is_empty() && url.password().is_none_or(str::is_empty) {
        return Err(format!("there is a user and no password; {FORM}"));
    }
    // A path is the rest of a URL that was written in another form than its writer meant.
    if !matches!(url.path(), "" | "/") {
        return Err(FORM.to_owned());
    }
    let tls = url
        .query_pairs()
        .find(|(name, _)| name == "tls")
        .map(|(_, value)| value.into_owned());
    let host = url.host_str().filter(|host| is_host(host)).ok_or(FORM)?;
    match (url.scheme(), tls.as_deref()) {
        ("smtps", _) | ("smtp", Some("required")) => Ok(()),
        ("smtp", _) if LOOPBACK.contains(&host) || allow_insecure => Ok(()),
        ("smtp", _) => Err(format!(
            "mails would be sent unencrypted; {FORM}, or set server.allow_insecure"
        )),
        _ => Err(FORM.to_owned()),
    }
}

/// Parses the setting. If it is invalid, records a problem and returns the default, which is then
/// never used.
fn parsed_or<T: FromStr>(r: &mut Reader, key: &str, default: &str) -> T
where
    T::Err: std::fmt::Display,
{
    let parse = |text: &str| text.parse::<T>().map_err(|e| e.to_string());
    r.parsed(key, default, parse)
        .or_else(|| default.parse().ok())
        .expect("the default is valid")
}

pub(super) fn read(r: &mut Reader, public_url: &Url, allow_insecure: bool) -> Mail {
    let url = r.text("mail.smtp_url", "");
    let dir = r.path("mail.dir", "data/mail").unwrap_or_default();
    let choices = [
        ("auto", Way::Auto),
        ("off", Way::Off),
        ("log", Way::Log),
        ("file", Way::File),
        ("smtp", Way::Smtp),
    ];
    let timeout = r.duration(
        "mail.smtp_timeout",
        "30s",
        Duration::from_secs(1)..=Duration::from_secs(240),
    );
    let helo = helo(r, public_url);
    let is_local = public_url.scheme() == "http"
        && public_url
            .host_str()
            .is_some_and(|host| LOOPBACK.contains(&host));
    let way = r.choice("mail.transport", &choices);
    // An unused URL is not enough to permit plain text, but it is checked all the same.
    if let Err(problem) = if url.is_empty() || matches!(way, Way::Smtp) {
        Ok(())
    } else {
        check_smtp(&url, true)
    } {
        r.problem("mail.smtp_url", problem);
    }
    if matches!(way, Way::Auto) {
        let (value, reason) = if is_local {
            ("log", "the public URL is http on loopback")
        } else {
            ("off", "the public URL is not http on loopback")
        };
        r.became("mail.transport", value, reason);
    }
    let transport = match way {
        Way::Auto if !is_local => MailTransport::Off,
        Way::Off => MailTransport::Off,
        Way::Log if !is_local => {
            r.problem("mail.transport", "with log, links that set passwords would be written to the log of a public service; use smtp, file or off".into());
            MailTransport::Off
        }
        Way::Auto | Way::Log => MailTransport::Log,
        Way::File => MailTransport::File(dir),
        Way::Smtp => match check_smtp(&url, allow_insecure) {
            Ok(()) => MailTransport::Smtp {
                url: Secret(Zeroizing::new(url)),
                timeout,
                helo,
            },
            Err(problem) => {
                r.problem("mail.smtp_url", problem);
                MailTransport::Off
            }
        },
    };
    let link = Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);
    Mail {
        transport,
        from: parsed_or(r, "mail.from", "Countersign <countersign@localhost>"),
        app_name: parsed_or(r, "mail.app_name", "Countersign"),
        templates_dir: r.path("mail.templates_dir", ""),
        lifetimes: MailLifetimes {
            verify: r.duration("mail.verify_ttl", "1d", link.clone()),
            reset: r.duration("mail.reset_ttl", "1h", link.clone()),
            change: r.duration("mail.change_ttl", "1h", link.clone()),
            delete: r.duration("mail.delete_ttl", "1d", link.clone()),
            invitation: r.duration("mail.invitation_ttl", "7d", link),
            code: r.duration("mail.code_ttl", "10m", MINUTE..=HOUR),
        },
        notify_new_sign_in: r.flag("mail.notify_new_sign_in", false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_special_character_in_a_password_is_refused_with_what_to_do_about_it() {
        for password in [
            "p@ss",
            "p/ss",
            "p#ss",
            "p?ss",
            "p%ss",
            "p%4",
            "p ss",
            "p[ss",
            "p\"ss",
            "p\u{e4}ss",
            "p@",
            "/@x",
        ] {
            for url in [
                format!("smtps://user:{password}@mail.example.com"),
                format!("smtp://user:{password}@mail.example.com:587?tls=required"),
            ] {
                let refused = check_smtp(&url, false).unwrap_err();
                assert!(
                    refused.contains("percent-encode it") && !refused.contains(password),
                    "{url}: {refused}"
                );
            }
        }
        for (bad, problem) in [
            ("smtps://user:p%80ss@mail.example.com", "not UTF-8"),
            ("smtps://us%FFer:pass@mail.example.com", "not UTF-8"),
            (
                "smtps://user:p%80ss@smtp://mail.example.com:465",
                "not UTF-8",
            ),
            (
                "smtps://user:pass@smtp://mail.example.com:465",
                "write smtps://",
            ),
            ("smtps://user:pass@mail.example.com/inbox", "write smtps://"),
        ] {
            let refused = check_smtp(bad, false).unwrap_err();
            assert!(refused.contains(problem), "{bad}: {refused}");
        }
        for good in [
            "smtps://mail.example.com/",
            "smtps://user:p%C3%A4ss@mail.example.com",
            "smtps://user:p%40ss%2F%23%3F%25@mail.example.com",
            "smtps://a%40example.com:x:y@mail.example.com:465",
            "smtps://mail.example.com",
            "smtp://localhost:25",
        ] {
            assert_eq!(check_smtp(good, false), Ok(()), "{good}");
        }
    }
}
