//! Diagnosis for operators: checks the database, its schema and clock, the keys and the tables. It
//! creates and changes nothing, except for one probe row, which shows that writing is possible.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::flows::confirm_clock;
use crate::flows::key::bootstrap;
use crate::model::audit::webhook::Webhook;
use crate::model::mail::Mail;
use crate::random::Random;
use crate::store::{self, Db, work};

use super::check_health;
use super::diagnose_database::{database, disk, tables};
use super::diagnose_keys::{holders, keys};
use super::file_modes;

pub use super::diagnosis::{Diagnosis, Finding, Verdict};

/// Runs all checks, including those that `serve` makes at its start.
pub async fn diagnose(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Diagnosis {
    let mut found = Diagnosis::default();
    for warning in &config.warnings {
        found.say("settings", Verdict::Warning, warning.clone());
    }
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
    disk(&config.database.url, &mut found);
    match store::engine::migrate::pending(&config.database.url, &App::db_options(&config)).await {
        Err(error) => {
            found.say("database", Verdict::Bad, error.to_string());
            return found;
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
            return found;
        }
    }
    match bootstrap::build_existing(config, clock, random).await {
        Err(error) => found.say("database", Verdict::Bad, error.to_string()),
        Ok(app) => {
            database(&app.db, &mut found).await;
            writes(&app, &mut found).await;
            queues(&app.db, &mut found).await;
            clocks(&app, &mut found).await;
            keys(&app, &mut found).await;
            holders(&app, &mut found).await;
            mails(&app, &mut found).await;
            tables(&app.db, &mut found).await;
            app.db.close().await;
        }
    }
    found
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

async fn clocks(app: &App, found: &mut Diagnosis) {
    let look = match confirm_clock::look(app).await {
        Ok(look) => look,
        Err(error) => return found.say("clock", Verdict::Bad, error.to_string()),
    };
    let apart = look.evidence.database.map(|theirs| {
        format!(
            "{} ms from the database's",
            (look.now.0 - theirs.0).unsigned_abs()
        )
    });
    match look.outcome {
        Err(doubt) => found.say(
            "clock",
            Verdict::Bad,
            format!("{doubt}; nothing is deleted, rotated or given up until then"),
        ),
        Ok(_) => found.say(
            "clock",
            Verdict::Good,
            apart.unwrap_or_else(|| "near the last confirmed time".into()),
        ),
    }
}

/// A mail normally waits for seconds, or for the next attempt after a short outage of its server.
const LATE_MAIL: Duration = Duration::from_secs(15 * 60);

async fn mails(app: &App, found: &mut Diagnosis) {
    match app
        .db
        .read(work!(conn => store::mails::waiting(conn).await))
        .await
    {
        Err(error) => found.say("mail", Verdict::Warning, error.to_string()),
        Ok((_, None)) if app.config.mail.sends() => {
            found.say("mail", Verdict::Good, "nothing waits");
        }
        Ok((_, None)) => found.say("mail", Verdict::Good, "mail.transport is off"),
        Ok((count, Some(oldest))) => {
            let age = app.now().since(oldest);
            let says = format!(
                "{count} in the queue, the oldest for {}",
                humantime::format_duration(Duration::from_secs(age.as_secs()))
            );
            if !app.config.mail.sends() {
                found.say(
                    "mail",
                    Verdict::Warning,
                    format!("{says}; mail.transport is off, so they stay"),
                );
            } else if age > LATE_MAIL {
                found.say(
                    "mail",
                    Verdict::Warning,
                    format!("{says}; the log gives the reason: \"a mail was not accepted\""),
                );
            } else {
                found.say("mail", Verdict::Good, says);
            }
        }
    }
}
