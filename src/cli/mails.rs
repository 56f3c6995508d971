//! `mail …`: lists the queue of mails, and has all of it sent now.

use clap::Subcommand;
use serde_json::json;

use crate::app::App;
use crate::config::Config;
use crate::flows::mail::queued_mails;
use crate::flows::permit::Permitted;
use crate::store::mails::QueuedMail;

use super::{Output, Result, build, operator, output};

#[derive(Debug, Subcommand)]
pub(super) enum Mails {
    /// List the mails that wait in the queue, oldest first
    #[command(
        after_help = "The log of the server gives the reason why a mail waits: \"a mail was not accepted\", with the same id.\n\nExample:\n  countersign mail list --show-recipients"
    )]
    List {
        /// The greatest number of mails to list
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Show whole email addresses; by default only the first letter and the domain
        #[arg(long)]
        show_recipients: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Have every mail of the queue sent now; running servers begin within seconds
    #[command(
        after_help = "For the time after an outage of the mail server: without it the delay before the next attempt is up to an hour. A mail that a server is\njust sending may be sent twice, with the same Message-ID.\n\nExample:\n  countersign mail flush --dry-run"
    )]
    Flush {
        /// Show how many mails wait and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Output format
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

pub(super) async fn run(command: Mails, config: Config) -> Result<()> {
    let app = build(config).await?;
    let done = act(&app, command).await;
    app.db.close().await;
    done
}

async fn act(app: &App, command: Mails) -> Result<()> {
    match command {
        Mails::List {
            limit,
            show_recipients,
            output,
        } => list(app, limit, show_recipients, output).await,
        Mails::Flush { dry_run, output } => flush(app, dry_run, output).await,
    }
}

async fn list(app: &App, limit: u32, show_recipients: bool, form: Output) -> Result<()> {
    let (mails, total) = queued_mails::list(app, Permitted::as_operator(), limit.into()).await?;
    let now = app.now();
    let row = |mail: &QueuedMail| {
        let recipient = mail.recipient.as_ref().map(|email| {
            if show_recipients {
                email.to_string()
            } else {
                email.masked()
            }
        });
        vec![
            json!(mail.id),
            json!(mail.template),
            json!(recipient),
            json!(now.since(mail.created_at).as_secs()),
            json!(mail.attempts),
            json!(mail.due_at),
        ]
    };
    output::rows(
        form,
        &[
            "id",
            "template",
            "recipient",
            "ageSeconds",
            "attempts",
            "nextAttempt",
        ],
        &mails.iter().map(row).collect::<Vec<_>>(),
    );
    if i64::try_from(mails.len()).is_ok_and(|shown| shown < total) {
        output::note(&format!("{} of {total}; --limit shows more", mails.len()));
    }
    Ok(())
}

async fn flush(app: &App, dry_run: bool, form: Output) -> Result<()> {
    let permitted = Permitted::as_operator();
    let (_, waiting) = queued_mails::list(app, permitted, 0).await?;
    let flushed = if dry_run {
        0
    } else {
        queued_mails::flush(app, permitted, &operator()).await?
    };
    if form == Output::Json {
        let members = [("waiting", json!(waiting)), ("madeDue", json!(flushed))];
        output::object(form, &members);
    }
    if dry_run {
        output::note(&format!(
            "{waiting} mail(s) in the queue would be due now. Nothing was written."
        ));
        return Ok(());
    }
    output::changed(
        &app.config,
        &format!(
            "{waiting} mail(s) in the queue are due now; {flushed} of them waited for a later attempt."
        ),
    );
    if !app.config.mail.sends() {
        output::note("mail.transport is off in these settings: a server with them sends nothing.");
    }
    Ok(())
}
