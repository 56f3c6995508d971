//! The transports of mails. The library writes email addresses and subjects into headers and
//! encodes line ends in them.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::connection::Broken;
use crate::model::account::email::Email;
use crate::model::kernel::id::EventId;
use crate::model::kernel::mail_sender::{Helo, Sender};
use crate::model::kernel::time::Timestamp;

use super::{Inbox, Received, Rendered};

/// Why a mail could not be sent, as a code or fixed text. A server's own text may repeat the email
/// address, a link or the body of the mail, which must not be logged; this type cannot hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The server's reply code (RFC 5321 section 4.2).
    #[error("the server answered {0}")]
    Answered(u16),
    /// `mail.smtp_timeout` has passed, or the connection's part of it.
    #[error("the server took too long")]
    Slow,
    /// The connection could not be made, broke, or cannot be trusted.
    #[error("{0}")]
    Connection(Broken),
    /// The settings require an encrypted connection, and the server does not offer `STARTTLS`.
    #[error("the server offers no STARTTLS, which mail.smtp_url requires")]
    NoStarttls,
    /// The server takes no user and password, or in no way that the library knows.
    #[error("the server offers no way to sign in with the user and password of mail.smtp_url")]
    NoSignIn,
    /// The server does not speak SMTP, or lacks a feature that is needed.
    #[error("the server does not follow the SMTP protocol")]
    Protocol,
    /// The mail could not be written into its folder.
    #[error("the file could not be written: {0}")]
    File(ErrorKind),
    /// The message cannot be built.
    #[error("{0}")]
    Unusable(&'static str),
}

impl Fault {
    /// Returns which feature the server lacks. The library has no kinds for it; its texts are
    /// fixed and hold nothing of the server's.
    fn lacking(error: &lettre::transport::smtp::Error) -> Self {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        match cause.as_deref() {
            Some("STARTTLS is not supported on this server") => Self::NoStarttls,
            Some("No compatible authentication mechanism was found") => Self::NoSignIn,
            _ => Self::Protocol,
        }
    }
}

/// Why a mail was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// A later attempt may succeed: the server is unavailable, slow or full.
    #[error("{0}")]
    Later(Fault),
    /// The server refuses this mail, or every mail until one of the operators changes something.
    /// The two cases cannot be distinguished for certain.
    #[error("{0}")]
    Refused(Fault),
}

impl From<lettre::transport::smtp::Error> for Undelivered {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        let fault = match error.status() {
            Some(code) => Fault::Answered(code.into()),
            None if error.is_timeout() => Fault::Slow,
            None => match Broken::in_error(&error) {
                Some(broken) => Fault::Connection(broken),
                None if error.is_tls() => Fault::Connection(Broken::Tls),
                None => Fault::lacking(&error),
            },
        };
        if error.is_permanent() {
            Self::Refused(fault)
        } else {
            Self::Later(fault)
        }
    }
}

/// The way in which mails leave the service.
pub enum Transport {
    /// To an SMTP server.
    Smtp {
        /// The server's connection pool.
        server: Box<AsyncSmtpTransport<Tokio1Executor>>,
        /// The time limit for one mail; the library only limits the time to connect.
        timeout: Duration,
    },
    /// Into a folder, one `.eml` file each.
    File(PathBuf),
    /// Into the log, with the email address, the text and the link: for a developer's own machine.
    /// The settings refuse it unless the public URL is a loopback address.
    Log,
    /// Into this process's memory, for `countersign dev`.
    Inbox(Inbox),
    /// No mails are sent.
    Off,
}

impl Transport {
    /// Builds the sender for the header `From`.
    pub fn sender(from: &Sender) -> Result<Mailbox, String> {
        let address = Address::new(&from.local, &from.domain).map_err(|e| e.to_string())?;
        Ok(Mailbox::new(
            Some(from.name.clone()).filter(|name| !name.is_empty()),
            address,
        ))
    }

    /// Makes the transport of an SMTP server: `smtp://user:password@host:587?tls=required`, or
    /// `smtps://…`. `helo` is the name for `EHLO`.
    pub fn smtp(url: &str, timeout: Duration, helo: &Helo) -> Result<Self, String> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| "is not the URL of a mail server".to_owned())?;
        let name = match helo {
            Helo::Domain(name) => ClientId::Domain(name.clone()),
            Helo::Address(IpAddr::V4(address)) => ClientId::Ipv4(*address),
            Helo::Address(IpAddr::V6(address)) => ClientId::Ipv6(*address),
        };
        let builder = builder.hello_name(name);
        Ok(Self::Smtp {
            server: Box::new(builder.timeout(Some(timeout)).build()),
            timeout,
        })
    }

    pub(super) async fn send(
        &self,
        from: &Mailbox,
        id: EventId,
        to: &Email,
        mail: &Rendered,
        at: Timestamp,
    ) -> Result<(), Undelivered> {
        let never = |what: &'static str| Undelivered::Refused(Fault::Unusable(what));
        let domain = from.email.domain().to_owned();
        let message = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(
                None,
                to.as_str()
                    .parse()
                    .map_err(|_| never("the email address is not allowed in a header"))?,
            ))
            .subject(&mail.subject)
            .message_id(Some(format!("<{id}@{domain}>")))
            .date(UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0)))
            .multipart(MultiPart::alternative_plain_html(
                mail.text.clone(),
                mail.html.clone(),
            ))
            .map_err(|_| never("the mail cannot be built"))?;
        match self {
            Self::Smtp { server, timeout } => {
                match tokio::time::timeout(*timeout, server.send(message)).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err(Undelivered::Later(Fault::Slow)),
                }
            }
            Self::File(dir) => {
                let (dir, bytes) = (dir.clone(), message.formatted());
                let written =
                    tokio::task::spawn_blocking(move || write(&dir, &id.to_string(), &bytes)).await;
                let written = written.map_err(|_| {
                    Undelivered::Later(Fault::Unusable("writing the file panicked"))
                })?;
                written.map_err(|e| Undelivered::Later(Fault::File(e.kind())))
            }
            Self::Log => {
                tracing::info!(%to, subject = mail.subject, text = mail.text, "mail");
                Ok(())
            }
            Self::Inbox(inbox) => {
                inbox.keep(Received {
                    id,
                    to: to.as_str().to_owned(),
                    content: mail.clone(),
                    at,
                });
                Ok(())
            }
            Self::Off => Ok(()),
        }
    }
}

/// Writes a whole file atomically, readable by this user only.
fn write(dir: &std::path::Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let unfinished = dir.join(format!(".{name}"));
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(unfinished, dir.join(format!("{name}.eml")))
}
