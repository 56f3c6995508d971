//! The ways out. Addresses and subjects are put into headers by the library, which encodes what could end one.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::{Mailbox, Message, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::model::email::Email;
use crate::model::id::EventId;
use crate::model::time::Timestamp;

use super::Rendered;

/// How long a server may take for one command.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a mail is still here.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// It may go better next time.
    #[error("{0}")]
    Later(String),
    /// It never will: the server refuses this mail.
    #[error("{0}")]
    Never(String),
}

/// Where mails go.
pub enum Transport {
    /// To a server.
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    /// Into a folder, one `.eml` each.
    File(PathBuf),
    /// Into the log, links and all: for machines on which nobody else reads it.
    Log,
}

impl Transport {
    /// Whether this may stand in `From`.
    pub fn check_sender(from: &str) -> Result<(), String> {
        from.parse::<Mailbox>().map(|_| ()).map_err(|e| e.to_string())
    }

    /// A server: `smtp://user:password@host:587?tls=required`, or `smtps://…`.
    pub fn smtp(url: &str) -> Result<Self, String> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|e| e.to_string())?;
        Ok(Self::Smtp(Box::new(builder.timeout(Some(PATIENCE)).build())))
    }

    pub(super) async fn send(&self, from: &str, id: EventId, to: &Email, mail: &Rendered, at: Timestamp) -> Result<(), Undelivered> {
        let never = |reason: String| Undelivered::Never(reason);
        let from: Mailbox = from.parse().map_err(|e| never(format!("mail.from: {e}")))?;
        let domain = from.email.domain().to_owned();
        let message = Message::builder()
            .from(from)
            .to(Mailbox::new(None, to.as_str().parse().map_err(|e| never(format!("the address: {e}")))?))
            .subject(&mail.subject)
            .message_id(Some(format!("<{id}@{domain}>")))
            .date(UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0)))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|e| never(e.to_string()))?;
        match self {
            Self::Smtp(server) => match server.send(message).await {
                Ok(_) => Ok(()),
                Err(error) if refuses_this_mail(&error) => Err(never(error.to_string())),
                Err(error) => Err(Undelivered::Later(error.to_string())),
            },
            Self::File(dir) => {
                let (dir, bytes) = (dir.clone(), message.formatted());
                let written = tokio::task::spawn_blocking(move || write(&dir, &id.to_string(), &bytes)).await;
                written.map_err(|e| Undelivered::Later(e.to_string()))?.map_err(|e| Undelivered::Later(e.to_string()))
            }
            Self::Log => {
                tracing::info!(%to, subject = mail.subject, text = mail.text, "mail");
                Ok(())
            }
        }
    }
}

/// RFC 5321 section 4.2.3: the mailbox is not there or not allowed. Any other 5xx, such as a password that is no longer good, is of the server and
/// passes when somebody mends it.
fn refuses_this_mail(error: &lettre::transport::smtp::Error) -> bool {
    error.is_permanent() && error.status().is_some_and(|code| matches!(code.to_string().as_str(), "550" | "551" | "552" | "553" | "554"))
}

/// Whole or not at all; nobody else may read it.
fn write(dir: &std::path::Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let unfinished = dir.join(format!(".{name}"));
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(unfinished, dir.join(format!("{name}.eml")))
}
