//! The ways out. Addresses and subjects are put into headers by the library, which encodes what could end one.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::{Mailbox, Message, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::model::email::Email;
use crate::model::id::EventId;
use crate::model::time::Timestamp;

use super::{Inbox, Received, Rendered};

/// Why a mail is still here.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// It may go better next time: the server is away, slow or full.
    #[error("{0}")]
    Later(String),
    /// The server says no. To this mail, or to every mail of ours until somebody mends something: that is not to be told apart for certain.
    #[error("{0}")]
    Refused(String),
}

/// Where mails go.
pub enum Transport {
    /// To a server.
    Smtp {
        /// Where.
        server: Box<AsyncSmtpTransport<Tokio1Executor>>,
        /// How long it may take for all of a mail; the library bounds the connecting alone.
        timeout: Duration,
    },
    /// Into a folder, one `.eml` each.
    File(PathBuf),
    /// Into the log, links and all: for machines on which nobody else reads it.
    Log,
    /// Into this process's memory, for `countersign dev`.
    Inbox(Inbox),
    /// Nowhere.
    Off,
}

impl Transport {
    /// Whether this may stand in `From`.
    pub fn check_sender(from: &str) -> Result<(), String> {
        from.parse::<Mailbox>().map(|_| ()).map_err(|e| e.to_string())
    }

    /// A server: `smtp://user:password@host:587?tls=required`, or `smtps://…`.
    pub fn smtp(url: &str, timeout: Duration) -> Result<Self, String> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|e| e.to_string())?;
        Ok(Self::Smtp { server: Box::new(builder.timeout(Some(timeout)).build()), timeout })
    }

    pub(super) async fn send(&self, from: &str, id: EventId, to: &Email, mail: &Rendered, at: Timestamp) -> Result<(), Undelivered> {
        let never = |reason: String| Undelivered::Refused(reason);
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
            Self::Smtp { server, timeout } => match tokio::time::timeout(*timeout, server.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) if error.is_permanent() => Err(Undelivered::Refused(error.to_string())),
                Ok(Err(error)) => Err(Undelivered::Later(error.to_string())),
                Err(_) => Err(Undelivered::Later("the server took too long".into())),
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
            Self::Inbox(inbox) => {
                inbox.keep(Received { id, to: to.as_str().to_owned(), content: mail.clone(), at });
                Ok(())
            }
            Self::Off => Ok(()),
        }
    }
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
