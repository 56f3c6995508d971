//! `mail …`: lists the queue of mails, and has all of it sent now.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::app::App;
use crate::config::Config;
use crate::flows::mail::queued_mails;
use crate::flows::permit::Permitted;
use crate::store::mails::QueuedMail;

use super::output::{self, List};
use super::table::{Column, id, text, time};
use super::{Output, Result, Trial, build, operator};

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
        /// List every mail
        #[arg(long, conflicts_with = "limit")]
        all: bool,
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
        #[command(flatten)]
        trial: Trial,
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
            all,
            show_recipients,
            output,
        } => {
            let limit = if all { i64::MAX } else { limit.into() };
            list(app, limit, show_recipients, output).await
        }
        Mails::Flush { trial } => flush(app, trial).await,
    }
}

const COLUMNS: [Column; 6] = [
    id("id"),
    text("template"),
    text("recipient"),
    text("ageSeconds"),
    text("attempts"),
    time("nextAttempt"),
];

async fn list(app: &App, limit: i64, show_recipients: bool, form: Output) -> Result<()> {
    let (mails, total) = queued_mails::list(app, Permitted::as_operator(), limit).await?;
    let now = app.now();
    let item = |mail: &QueuedMail| {
        let recipient = mail.recipient.as_ref().map(|email| {
            if show_recipients {
                email.to_string()
            } else {
                email.masked()
            }
        });
        json!({
            "id": mail.id,
            "template": mail.template,
            "recipient": recipient,
            "ageSeconds": now.since(mail.created_at).as_secs(),
            "attempts": mail.attempts,
            "nextAttempt": mail.due_at,
        })
    };
    let list = List {
        noun: "mails",
        columns: &COLUMNS,
        items: output::objects(mails.iter().map(item).collect()),
        total: u64::try_from(total).unwrap_or(0),
        next: Value::Null,
    };
    output::list(form, &list);
    Ok(())
}

async fn flush(app: &App, trial: Trial) -> Result<()> {
    let permitted = Permitted::as_operator();
    let (_, waiting) = queued_mails::list(app, permitted, 0).await?;
    if trial.dry_run {
        let text = format!("{waiting} mail(s) in the queue would be due now.");
        let members = [("waiting", json!(waiting)), ("madeDue", json!(0))];
        output::planned(&app.config, trial.output, &text, &members);
        return Ok(());
    }
    let flushed = queued_mails::flush(app, permitted, &operator()).await?;
    let text = format!(
        "{waiting} mail(s) in the queue are due now; {flushed} of them waited for a later attempt."
    );
    let members = [("waiting", json!(waiting)), ("madeDue", json!(flushed))];
    output::changed(&app.config, trial.output, &text, &members);
    if !app.config.mail.sends() {
        output::note("mail.transport is off in these settings: a server with them sends nothing.");
    }
    Ok(())
}
