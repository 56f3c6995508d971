//! Sends queued mails, and writes the links in them. A process that takes a mail holds it for some minutes; if the process dies,
//! another one sends it again under the same `Message-ID`. A mail that a server cannot accept now
//! is retried with growing delays for three days.

use std::time::Duration;

use futures_util::future::join_all;

use crate::app::App;
use crate::mail::{Fault, Undelivered};
use crate::model::audit::event::Requester;
use crate::model::kernel::id::EventId;
use crate::model::login::email_code::EmailCode;
use crate::model::mail::{Mail, MailToken, Template};
use crate::store::queue::Message;
use crate::store::{self, work};

use super::mail_values;
use super::mail_values::Content;
use crate::flows::Result;
use crate::flows::confirm_clock;
use crate::flows::queue::{self, Delays};
use crate::flows::transaction::outbox::lifetime;
use crate::flows::transaction::tx;

const DELAYS: Delays = Delays {
    // Longer than a server may take for all commands.
    hold: Duration::from_secs(300),
    first_retry: Duration::from_secs(10),
    last_retry: Duration::from_secs(3_600),
};
const GIVE_UP: Duration = Duration::from_secs(3 * 86_400);
/// A mail that was refused this often, over a long enough time, is given up.
const REFUSALS: u32 = 12;
const REFUSED_FOR: Duration = Duration::from_secs(2 * 3_600);

/// Sends everything that is due, unless it is told to stop between two rounds; returns how many
/// mails were accepted by their server.
pub async fn deliver_due(app: &App, stopped: impl Fn() -> bool) -> Result<usize> {
    let mut sent = 0;
    while !stopped() {
        let mut taken: Vec<Mail> = queue::take(app, DELAYS).await?;
        if taken.is_empty() {
            return Ok(sent);
        }
        taken.sort_by_key(|mail| mail.id);
        // One after another, in the order of the requests: a link replaces the one before it, and
        // the valid one has to be in the last mail.
        let mut resolved = Vec::with_capacity(taken.len());
        for mail in taken {
            let found = resolve(app, mail.clone()).await?;
            resolved.push((mail, found));
        }
        for outcome in join_all(
            resolved
                .into_iter()
                .map(|(mail, found)| deliver(app, mail, found)),
        )
        .await
        {
            sent += usize::from(outcome?);
        }
    }
    Ok(sent)
}

/// Sends a mail that was taken. `resolved` is the same mail with its link; `None` if there is no
/// recipient.
async fn deliver(app: &App, mail: Mail, resolved: Option<Mail>) -> Result<bool> {
    let (id, attempts, taken) = (mail.id, mail.attempts, mail.attempt());
    let outcome = match resolved {
        Some(mail) => attempt(app, &mail).await?,
        None => None,
    };
    app.metrics.mail(match &outcome {
        Some(Ok(())) => "sent",
        Some(Err(Undelivered::Later(_))) => "later",
        Some(Err(Undelivered::Refused(_))) => "refused",
        None => "void",
    });
    let age = app.now().since(mail.created_at);
    let is_old = match &outcome {
        Some(Err(Undelivered::Later(_))) => age >= GIVE_UP,
        Some(Err(Undelivered::Refused(_))) => attempts >= REFUSALS && age >= REFUSED_FOR,
        Some(Ok(())) | None => false,
    };
    // On a clock that is not confirmed, no mail is too old.
    let too_old = if is_old {
        confirm_clock::confirm(app).await?
    } else {
        None
    };
    let again = match &outcome {
        Some(Err(Undelivered::Later(reason) | Undelivered::Refused(reason))) => {
            too_old.is_none().then_some(reason)
        }
        Some(Ok(())) | None => None,
    };
    if let Some(reason) = again {
        tracing::warn!(mail = %id, template = mail.template.as_str(), attempts, %reason, "a mail was not accepted and will be sent again");
        queue::postpone::<Mail>(app, taken, DELAYS).await?;
        return Ok(false);
    }
    if let Some(Err(error)) = &outcome {
        tracing::error!(mail = %id, template = mail.template.as_str(), attempts, %error, "a mail is given up");
    }
    match too_old {
        Some(now) => queue::give_up::<Mail>(app, taken, now).await?,
        None => queue::remove::<Mail>(app, taken).await?,
    }
    Ok(matches!(outcome, Some(Ok(()))))
}

/// Turns a request into a link or a code for the owner of its email address; returns `None` if there is none.
async fn resolve(app: &App, mail: Mail) -> Result<Option<Mail>> {
    let schedule = Requester::named("schedule");
    match (mail.template, mail.token) {
        (Template::Link(purpose), None) => {
            app.transaction(
                &schedule,
                tx!(tx => tx.resolve_request(purpose, &mail).await),
            )
            .await
        }
        (Template::Code(_), None) => {
            app.transaction(&schedule, tx!(tx => tx.resolve_code(&mail).await))
                .await
        }
        _ => Ok(Some(mail)),
    }
}

/// Tries to send a mail. Returns `None` if it has no recipient, or if its link is not valid any
/// more.
async fn attempt(app: &App, mail: &Mail) -> Result<Option<std::result::Result<(), Undelivered>>> {
    let Some(recipient) = &mail.recipient else {
        return Ok(None);
    };
    let content = match (mail.template, mail.token) {
        (_, None) => Some(Content::Nothing),
        (Template::Code(_), Some(id)) => live_code(app, id).await?.map(Content::Code),
        (_, Some(id)) => live_token(app, id).await?.map(Content::Link),
    };
    let Some(content) = content else {
        tracing::info!(mail = %mail.id, template = mail.template.as_str(), attempts = mail.attempts, "a mail is not sent: its link or code is not valid any more");
        return Ok(None);
    };
    let messages = mail_values::language(app, mail);
    let values = mail_values::of(app, mail, &content, &messages)?;
    // The error of the template engine may contain text of the mail.
    let rendered = app
        .mailer
        .templates
        .render(mail.template, &values, &messages);
    let Ok(rendered) = rendered else {
        return Ok(Some(Err(Undelivered::Later(Fault::Unusable(
            "its template cannot be rendered",
        )))));
    };
    Ok(Some(
        app.mailer
            .send(mail.id, recipient, &rendered, mail.created_at)
            .await,
    ))
}

/// Returns the row of the link if it was neither used nor replaced. The recipient has not seen the
/// link before it is sent, so its lifetime begins now, however long the server was unavailable.
async fn live_token(app: &App, id: EventId) -> Result<Option<MailToken>> {
    let now = app.now();
    let found = app
        .db
        .read(work!(conn => store::mails::find_token(conn, id).await))
        .await?;
    let Some((token, true)) = found else {
        return Ok(None);
    };
    let expires_at = now + lifetime(&app.config.mail.lifetimes, token.purpose);
    if token.expires_at >= expires_at {
        return Ok(Some(token));
    }
    let begin = tx!(tx => Ok(store::mails::begin_token(tx.conn, id, expires_at).await?));
    let lives = app
        .transaction(&Requester::named("schedule"), begin)
        .await?;
    Ok(lives.then_some(MailToken {
        expires_at,
        ..token
    }))
}

/// Returns the row of the code if it was neither used nor replaced; its lifetime begins now, as that
/// of a link.
async fn live_code(app: &App, id: EventId) -> Result<Option<EmailCode>> {
    let now = app.now();
    let found = app
        .db
        .read(work!(conn => store::login::codes::find(conn, id).await))
        .await?;
    let Some((code, true)) = found else {
        return Ok(None);
    };
    let expires_at = now + app.config.mail.lifetimes.code;
    if code.expires_at >= expires_at {
        return Ok(Some(code));
    }
    let begin = tx!(tx => Ok(store::login::codes::begin(tx.conn, id, expires_at).await?));
    let lives = app
        .transaction(&Requester::named("schedule"), begin)
        .await?;
    Ok(lives.then_some(EmailCode { expires_at, ..code }))
}
