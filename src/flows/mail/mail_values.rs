//! The values of a queued mail when it is sent: its language, its links, the texts that its event left.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::mail::TemplateContext;
use crate::model::kernel::locale::Messages;
use crate::model::kernel::time::Timestamp;
use crate::model::login::email_code::{CodePurpose, EmailCode};
use crate::model::mail::{Mail, MailToken, Purpose, Template};
use crate::model::session::presenter::UNKNOWN_NETWORK;

use super::mail_links;
use super::sign_in_link::{SignInLinks, code};
use crate::flows::Result;
use crate::flows::transaction::outbox::lifetime;

/// Returns the texts in the language of a mail.
pub(super) fn language(app: &App, mail: &Mail) -> Arc<Messages> {
    app.config.pages.locales.of(text(mail, "language"))
}

/// Returns a text of the mail; `None` if it has no such text.
fn text<'m>(mail: &'m Mail, name: &str) -> Option<&'m str> {
    mail.detail.get(name).and_then(|value| value.as_str())
}

/// What a mail contains beside its words.
pub(super) enum Content {
    /// Neither a link nor a code.
    Nothing,
    /// A link.
    Link(MailToken),
    /// A code, and perhaps a link.
    Code(EmailCode),
}

/// Returns the values of a mail.
pub(super) fn of(
    app: &App,
    mail: &Mail,
    content: &Content,
    messages: &Messages,
) -> Result<TemplateContext> {
    let found = |name| text(mail, name);
    let text = |name| found(name).unwrap_or_default();
    // An older version has queued the name of the device alone.
    let device = |name, agent| match found(agent) {
        None => text(name).to_owned(),
        Some(agent) => messages
            .device(agent)
            .unwrap_or_else(|| messages.text("mail.unknown_device").to_owned()),
    };
    let network = |name| match text(name) {
        UNKNOWN_NETWORK => messages.text("mail.unknown_network"),
        known => known,
    };
    let (link, code) = match content {
        Content::Nothing => (String::new(), String::new()),
        Content::Link(token) => (link(app, token, text("callback"))?, String::new()),
        Content::Code(row) => {
            let links = SignInLinks {
                done: text("callback"),
                new_user: text("newUserCallback"),
                failed: text("errorCallback"),
            };
            (links.of(app, row)?, code(app, row)?)
        }
    };
    let lifetimes = &app.config.mail.lifetimes;
    let lifetime = match mail.template {
        Template::Link(purpose) => in_words(lifetime(lifetimes, purpose), messages),
        Template::Code(_) => in_words(lifetimes.code, messages),
        _ => String::new(),
    };
    Ok(TemplateContext {
        app_name: app.config.mail.app_name.as_str().to_owned(),
        name: text("name").to_owned(),
        email: text("email").to_owned(),
        new_email: text("newEmail").to_owned(),
        link,
        code,
        lifetime,
        page: page(app, mail.template),
        time: readable(mail.created_at),
        device: device("device", "userAgent"),
        network: network("network").to_owned(),
        left: mail
            .detail
            .get("left")
            .and_then(serde_json::Value::as_i64)
            .map(|left| left.to_string())
            .unwrap_or_default(),
        other_device: device("otherDevice", "otherUserAgent"),
        other_network: network("otherNetwork").to_owned(),
        other_time: mail
            .detail
            .get("otherSince")
            .and_then(serde_json::Value::as_i64)
            .map(|at| readable(Timestamp(at)))
            .unwrap_or_default(),
        ..TemplateContext::default()
    })
}

/// Returns the page on which the reader does what the mail asks for, beside its link; empty if it
/// asks for nothing more, or if there are no pages.
fn page(app: &App, template: Template) -> String {
    let path = match template {
        Template::NewSignIn
        | Template::RecoveryCodeUsed
        | Template::RecoveryCodesRenewed
        | Template::PasskeyRemoved
        | Template::PasskeyCloned
        | Template::UpstreamUnlinked
        | Template::Link(Purpose::ApproveChange | Purpose::DeleteUser) => "/auth/account",
        // Their reader may have been locked out by the change.
        Template::PasswordChanged
        | Template::LoginGuessed
        | Template::Code(CodePurpose::SecondStep)
        | Template::FactorEnrolled
        | Template::PasskeyAdded
        | Template::UpstreamLinked
        | Template::FactorRemoved => "/auth/forgot-password",
        Template::RefreshTokenReused | Template::SignedUpAgain | Template::FactorsReset => {
            "/auth/sign-in"
        }
        Template::EmailChanged
        | Template::Code(_)
        | Template::Link(
            Purpose::VerifyEmail
            | Purpose::ResetPassword
            | Purpose::VerifyChange
            | Purpose::Invitation,
        ) => return String::new(),
    };
    if app.config.pages.enabled {
        let mount = &app.config.server.mount;
        mount.on_host(&mount.outside(path))
    } else {
        String::new()
    }
}

/// Returns a duration in words, in the largest unit that gives a whole number.
fn in_words(time: Duration, messages: &Messages) -> String {
    let minutes = time.as_secs().div_ceil(60);
    let (key, count) = match minutes {
        m if m % 1_440 == 0 => ("duration.days", m / 1_440),
        m if m % 60 == 0 => ("duration.hours", m / 60),
        m => ("duration.minutes", m),
    };
    messages.counted(key, count)
}

fn readable(time: Timestamp) -> String {
    time.to_utc().map_or_else(
        || time.to_string(),
        |utc| utc.format("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// Builds the link from the public URL alone; headers of a request are never used.
fn link(app: &App, token: &MailToken, callback: &str) -> Result<String> {
    let text = mail_links::text(app, token)?;
    let base = format!(
        "{}{}",
        app.config.server.public_url.as_str().trim_end_matches('/'),
        app.config.server.base_path
    );
    let query = |pairs: &[(&str, &str)]| {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    };
    let mount = &app.config.server.mount;
    let root = mount.outside("/");
    let callback_or_root = if callback.is_empty() {
        root.as_ref()
    } else {
        callback
    };
    Ok(match token.purpose {
        Purpose::VerifyEmail | Purpose::ApproveChange | Purpose::VerifyChange => {
            format!(
                "{base}/verify-email?{}",
                query(&[("token", &text), ("callbackURL", callback_or_root)])
            )
        }
        Purpose::ResetPassword | Purpose::Invitation => {
            let own = if app.config.pages.enabled {
                mount.outside("/auth/reset-password")
            } else {
                "".into()
            };
            format!(
                "{base}/reset-password/{text}?{}",
                query(&[(
                    "callbackURL",
                    if callback.is_empty() { &own } else { callback }
                )])
            )
        }
        Purpose::DeleteUser => format!(
            "{base}/delete-user/callback?{}",
            query(&[("token", &text), ("callbackURL", callback_or_root)])
        ),
    })
}
