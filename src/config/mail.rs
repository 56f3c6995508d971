//! `[mail]`: where mails go, what they say, how long their links are good.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use crate::model::origin::LOOPBACK;

use super::Secret;
use super::raw::Reader;

/// `[mail]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Mail {
    pub transport: MailTransport,
    pub from: String,
    pub app_name: String,
    pub templates_dir: Option<PathBuf>,
    pub lifetimes: MailLifetimes,
    pub notify_new_sign_in: bool,
}

/// `mail.transport`
#[derive(Debug, Clone)]
pub enum MailTransport {
    /// `mail.smtp_url`, with its password, and `mail.smtp_timeout`.
    Smtp {
        /// With its password.
        url: Secret,
        /// For all of a mail.
        timeout: Duration,
    },
    /// `mail.dir`
    File(PathBuf),
    /// The log.
    Log,
    /// This process's memory; `countersign dev` alone sets it, no setting names it.
    Inbox,
    /// Nowhere.
    Off,
}

impl Mail {
    /// Whether there is a way for mails.
    pub fn sends(&self) -> bool {
        !matches!(self.transport, MailTransport::Off)
    }
}

/// How long links are good.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct MailLifetimes {
    pub verify: Duration,
    pub reset: Duration,
    pub change: Duration,
    pub delete: Duration,
    pub invitation: Duration,
}

#[derive(Clone, Copy)]
enum Way {
    /// The log where nobody else reads it, else off.
    Auto,
    Off,
    Log,
    File,
    Smtp,
}

/// Mails carry links that set passwords: they do not travel in the clear, but to this very machine.
fn check_smtp(url: &str, allow_insecure: bool) -> Result<(), String> {
    const FORM: &str = "write smtps://user:password@host, or smtp://user:password@host:587?tls=required";
    let url = Url::parse(url).map_err(|_| FORM.to_owned())?;
    let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
    let host = url.host_str().ok_or(FORM)?;
    match (url.scheme(), tls.as_deref()) {
        ("smtps", _) | ("smtp", Some("required")) => Ok(()),
        ("smtp", _) if LOOPBACK.contains(&host) || allow_insecure => Ok(()),
        ("smtp", _) => Err(format!("mails would travel in the clear; {FORM}, or set server.allow_insecure")),
        _ => Err(FORM.to_owned()),
    }
}

pub(super) fn read(r: &mut Reader, public_url: &Url, allow_insecure: bool) -> Mail {
    let url = r.text("mail.smtp_url", "");
    let dir = r.text("mail.dir", "data/mail");
    let choices = [("auto", Way::Auto), ("off", Way::Off), ("log", Way::Log), ("file", Way::File), ("smtp", Way::Smtp)];
    let timeout = r.duration("mail.smtp_timeout", "30s", Duration::from_secs(1)..=Duration::from_secs(240));
    let is_local = public_url.scheme() == "http" && public_url.host_str().is_some_and(|host| LOOPBACK.contains(&host));
    let transport = match r.choice("mail.transport", &choices) {
        Way::Auto if !is_local => MailTransport::Off,
        Way::Off => MailTransport::Off,
        Way::Log if !is_local => {
            r.problem("mail.transport", "log would put links that set passwords into the log of a public service; use smtp, file or off".into());
            MailTransport::Off
        }
        Way::Auto | Way::Log => MailTransport::Log,
        Way::File => MailTransport::File(dir.into()),
        Way::Smtp => match check_smtp(&url, allow_insecure) {
            Ok(()) => MailTransport::Smtp { url: Secret(Zeroizing::new(url)), timeout },
            Err(problem) => {
                r.problem("mail.smtp_url", problem);
                MailTransport::Off
            }
        },
    };
    let templates = r.text("mail.templates_dir", "");
    let link = Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);
    Mail {
        transport,
        from: r.text("mail.from", "Countersign <countersign@localhost>"),
        app_name: r.text("mail.app_name", "Countersign"),
        templates_dir: Some(templates).filter(|t| !t.is_empty()).map(Into::into),
        lifetimes: MailLifetimes {
            verify: r.duration("mail.verify_ttl", "1d", link.clone()),
            reset: r.duration("mail.reset_ttl", "1h", link.clone()),
            change: r.duration("mail.change_ttl", "1h", link.clone()),
            delete: r.duration("mail.delete_ttl", "1d", link.clone()),
            invitation: r.duration("mail.invitation_ttl", "7d", link),
        },
        notify_new_sign_in: r.flag("mail.notify_new_sign_in", false),
    }
}
