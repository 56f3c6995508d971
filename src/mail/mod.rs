//! Mails: their words, and the ways out: a server that speaks SMTP, a folder, the log. What is
//! sent, and when, is `flows`' business.

pub mod inbox;
pub mod templates;
pub mod transport;

pub use crate::mail::templates::{BadTemplate, Rendered, TemplateContext, Templates};
pub use inbox::{Inbox, Received};
pub use transport::{Fault, Transport, Undelivered};

use lettre::message::Mailbox;
use tracing::Instrument;

use crate::model::account::email::Email;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;

/// What the operator said of mails, made ready.
pub struct Mailer {
    /// The words.
    pub wording: Templates,
    /// The way out.
    pub transport: Transport,
    /// Who writes.
    pub from: Mailbox,
}

impl Mailer {
    /// Sends; `id` becomes the `Message-ID`, the same at each try.
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
