//! Diagnosis for operators: checks the database, its schema and clock, the keys and the tables. It
//! creates and changes nothing, except for one probe row, which shows that writing is possible.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::flows::key::bootstrap;
use crate::model::audit::webhook::Webhook;
use crate::model::kernel::database_url::DatabaseUrl;
use crate::model::mail::Mail;
use crate::random::Random;
use crate::store::{self, Db, work};

use super::check_health;
use super::checklist::{Facts, make_list};
use super::diagnose_database::{database, disk, tables};
use super::diagnose_keys::{holders, keys, secrets, tokens};
use super::file_modes;

pub use super::diagnosis::{Diagnosis, Finding, Verdict};

/// Runs all checks, including those that `serve` makes at its start.
pub async fn diagnose(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Diagnosis {
    let mut found = Diagnosis::default();
    let facts = Box::pin(check(config.clone(), clock, random, &mut found)).await;
    found
        .findings
        .splice(0..0, make_list(&config, &facts.unwrap_or_default()));
    found
}

/// Runs the checks that need the database. Returns the facts of the checklist if it can be opened.
async fn check(
    config: Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    found: &mut Diagnosis,
) -> Option<Facts> {
    let open = file_modes::warnings(&config);
    if open.is_empty() {
        found.say(
            "file modes",
            Verdict::Good,
            "no file is open to other users",
        );
    }
    for warning in open {
        found.say("file modes", Verdict::Warning, warning);
    }
    let config = Config {
        database: Database {
            migrate: false,
            ..config.database.clone()
        },
        ..config
    };
    disk(&config.database.url, found);
    if let DatabaseUrl::Sqlite(file) = &config.database.url
        && let Err(error) = store::engine::file_access::check(file)
    {
        // Opening a file that may only be read leaves others of its mode beside it.
        found.say("database", Verdict::Bad, error.to_string());
        return None;
    }
    match store::engine::migrate::pending(&config.database.url, &App::db_options(&config)).await {
        Err(error) => {
            found.say("database", Verdict::Bad, error.to_string());
            return None;
        }
        Ok(pending) if pending.is_empty() => found.say("schema", Verdict::Good, "current"),
        Ok(pending) => {
            let names: Vec<String> = pending
                .iter()
                .map(|(version, name)| format!("{version:04} {name}"))
                .collect();
            found.say(
                "schema",
                Verdict::Bad,
                format!("lacks {}; run `countersign migrate`", names.join(", ")),
            );
            return None;
        }
    }
    match Box::pin(bootstrap::build_existing(config, clock, random)).await {
        Err(error) => {
            found.say("database", Verdict::Bad, error.to_string());
            None
        }
        Ok(app) => {
            database(&app.db, found).await;
            writes(&app, found).await;
            queues(&app.db, found).await;
            let facts = Facts::of(&app, false).await;
            keys(&app, found).await;
            holders(&app, found).await;
            secrets(&app, found).await;
            tokens(&app, found).await;
            mails(&app, found).await;
            tables(&app.db, found).await;
            app.db.close().await;
            Some(facts)
        }
    }
}

/// Writes a row and commits it, which is the only way to know that it is possible.
async fn writes(app: &App, found: &mut Diagnosis) {
    match app
        .db
        .probe_write(check_health::probe_slot(app), app.now())
        .await
    {
        Ok(()) => found.say("writing", Verdict::Good, "a test row was written"),
        Err(error) => found.say("writing", Verdict::Bad, error.to_string()),
    }
}

/// If more are waiting, none are being sent.
const LONG_QUEUE: i64 = 100;

async fn queues(db: &Db, found: &mut Diagnosis) {
    match db
        .read(work!(conn => Ok((
            store::queue::count::<Mail>(conn).await?,
            store::queue::count::<Webhook>(conn).await?,
        ))))
        .await
    {
        Err(error) => found.say("queues", Verdict::Warning, error.to_string()),
        Ok((mails, webhooks)) => {
            for (subject, waiting, setting) in [
                ("mail queue", mails, "mail.transport"),
                ("webhook queue", webhooks, "webhooks.url"),
            ] {
                let verdict = if waiting > LONG_QUEUE {
                    Verdict::Warning
                } else {
                    Verdict::Good
                };
                let advice = if waiting > LONG_QUEUE {
                    format!("; is what {setting} names there?")
                } else {
                    String::new()
                };
                found.say(subject, verdict, format!("{waiting} waiting{advice}"));
            }
        }
    }
}

/// A mail normally waits for seconds, or for the next attempt after a short outage of its server.
const LATE_MAIL: Duration = Duration::from_secs(15 * 60);

/// The subject of the finding; `mail` is that of the checklist.
const OLDEST: &str = "oldest mail";

async fn mails(app: &App, found: &mut Diagnosis) {
    match app
        .db
        .read(work!(conn => store::mails::waiting(conn).await))
        .await
    {
        Err(error) => found.say(OLDEST, Verdict::Warning, error.to_string()),
        Ok((_, None)) => found.say(OLDEST, Verdict::Good, "nothing waits"),
        Ok((count, Some(oldest))) => {
            let age = app.now().since(oldest);
            let says = format!(
                "{count} in the queue, the oldest for {}",
                humantime::format_duration(Duration::from_secs(age.as_secs()))
            );
            if !app.config.mail.sends() {
                found.say(
                    OLDEST,
                    Verdict::Warning,
                    format!("{says}; mail.transport is off, so they stay"),
                );
            } else if age > LATE_MAIL {
                found.say(
                    OLDEST,
                    Verdict::Warning,
                    format!("{says}; the log gives the reason: \"a mail was not accepted\""),
                );
            } else {
                found.say(OLDEST, Verdict::Good, says);
            }
        }
    }
}
