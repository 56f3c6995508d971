//! Refuses what needs mail while no mail is sent, and tells the operator which setting that is.

use crate::app::{App, Turn};
use crate::flows::{Error, Result};

/// The lines to write below `[mail]` in the settings file.
const BLOCK: &str = r#"transport = "smtp"; smtp_url = "smtps://USER:PASSWORD@HOST"; from = "NAME <name@example.com>""#;

/// Refuses with this error if no mails are sent. The log names the setting, at most once a minute.
///
/// # Errors
/// `refusal` if `mail.transport` is off.
pub fn require_mail(app: &App, refusal: Error) -> Result<()> {
    if app.config.mail.sends() {
        return Ok(());
    }
    if app.refused_mails.turn("mail.transport", app.uptime()) == Turn::Log {
        let became = app.config.became("mail.transport");
        tracing::warn!(
            setting = "mail.transport",
            in_force = "off",
            reason = became.map(|became| became.reason.as_str()),
            add = BLOCK,
            "a request that needs mail was refused, because no mail is sent; set mail.transport and mail.smtp_url, as in docs/guides/smtp.md"
        );
    }
    Err(refusal)
}
