//! Mails: their templates, and the transports: an SMTP server, a folder, the log. `flows` decides
//! what is sent, and when.

pub mod inbox;
mod sentences;
pub mod templates;
pub mod transport;
mod values;

pub use crate::mail::templates::{BadTemplate, Rendered, Templates};
pub use inbox::{Inbox, Received};
pub use transport::{Fault, Transport, Undelivered};
pub use values::TemplateContext;

use lettre::message::Mailbox;
use tracing::Instrument;

use crate::model::account::email::Email;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;

/// The settings for mails, ready to use.
pub struct Mailer {
    /// The templates that render the mails.
    pub templates: Templates,
    /// The transport that delivers the mails.
    pub transport: Transport,
    /// The sender in `From`.
    pub from: Mailbox,
}

impl Mailer {
    /// Sends a mail. `id` becomes the `Message-ID`, the same for each attempt.
    pub async fn send(
        &self,
        id: EventId,
        to: &Email,
        mail: &Rendered,
        at: Timestamp,
    ) -> Result<(), Undelivered> {
        let span = tracing::info_span!(target: "traces", "mail.send", otel.kind = "client");
        self.transport
            .send(&self.from, id, to, mail, at)
            .instrument(span)
            .await
    }
}
