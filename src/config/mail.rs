//! `[mail]`: where mails go, what they say, how long their links are good.

use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use super::raw::Reader;
use super::{Mail, MailLifetimes, MailTransport, Secret};

pub(super) fn read(r: &mut Reader, public_url: &Url, warnings: &mut Vec<String>) -> Mail {
    let url = r.text("mail.smtp_url", "");
    let dir = r.text("mail.dir", "data/mail");
    let transport = match r.choice("mail.transport", &[("log", 0), ("file", 1), ("smtp", 2)]) {
        2 if url.is_empty() => {
            r.problem("mail.smtp_url", "mail.transport is smtp: write smtp://user:password@host:587?tls=required".into());
            MailTransport::Log
        }
        2 => MailTransport::Smtp(Secret(Zeroizing::new(url))),
        1 => MailTransport::File(dir.into()),
        _ => {
            if public_url.scheme() == "https" {
                warnings.push("mail.transport is log: links that set passwords stand in the log, and nobody gets a mail".into());
            }
            MailTransport::Log
        }
    };
    r.hide_password("mail.smtp_url");
    let templates = r.text("mail.templates_dir", "");
    let link = Duration::from_secs(60)..=Duration::from_secs(7 * 86_400);
    Mail {
        transport,
        from: r.text("mail.from", "Countersign <countersign@localhost>"),
        app_name: r.text("mail.app_name", "Countersign"),
        templates_dir: Some(templates).filter(|t| !t.is_empty()).map(Into::into),
        lifetimes: MailLifetimes {
            verify: r.duration("mail.verify_ttl", "1d", link.clone()),
            reset: r.duration("mail.reset_ttl", "1h", link.clone()),
            change: r.duration("mail.change_ttl", "1h", link.clone()),
            delete: r.duration("mail.delete_ttl", "1d", link),
        },
        notify_new_sign_in: r.flag("mail.notify_new_sign_in", false),
    }
}
