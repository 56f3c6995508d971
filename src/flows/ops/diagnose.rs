//! What an operator asks when something is wrong: one look at the database, its schema and clock,
//! the keys and the tables. It makes nothing and changes nothing; it writes one row that means
//! nothing, to know that it can.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::model::kernel::time::Timestamp;
use crate::model::key::key::{Policy, Ring, State};
use crate::random::Random;
use crate::store::engine::server;
use crate::store::engine::server::TableSize;
use crate::store::{self, Db, work};

use super::processes;
use super::processes::Running;
use super::{check_health, confirm_clock};
use crate::flows::key::load_keys;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works; look into it.
    Warning,
    /// It does not work, or soon will not.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What.
    pub subject: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen, and what to do about it.
    pub says: String,
}

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    /// In the order in which they were looked at; the first bad one usually explains the rest.
    pub findings: Vec<Finding>,
    /// The tables, the largest first.
    pub tables: Vec<TableSize>,
    /// The processes that serve, and which master keys they hold.
    pub running: Vec<Running>,
}

/// An update that is not heap-only writes every index: a refresh should never be one.
const HOT_SHARE: f64 = 0.99;
/// Fewer updates say nothing.
const ENOUGH_UPDATES: i64 = 1_000;
/// Dead rows beside live ones: autovacuum begins at a fifth.
const DEAD_SHARE: i64 = 2;
const FEW_ROWS: i64 = 10_000;
/// The schedule looks every few seconds; so much later nobody serves.
const OVERDUE: Duration = Duration::from_secs(3_600);

impl Diagnosis {
    fn say(&mut self, subject: &'static str, verdict: Verdict, says: impl Into<String>) {
        self.findings.push(Finding {
            subject,
            verdict,
            says: says.into(),
        });
    }

    /// Whether nothing is bad.
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|f| f.verdict != Verdict::Bad)
    }
}

/// Looks at everything that can be looked at, with the checks that `serve` makes at its start.
pub async fn diagnose(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Diagnosis {
    let mut found = Diagnosis::default();
    for warning in &config.warnings {
        found.say("settings", Verdict::Warning, warning.clone());
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
    match load_keys::build_existing(config, clock, random).await {
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

async fn database(db: &Db, found: &mut Diagnosis) {
    match db
        .read(work!(conn => Ok((server::about(conn).await?, server::quick_check(conn).await?))))
        .await
    {
        Err(error) => found.say("database", Verdict::Bad, error.to_string()),
        Ok((about, check)) => {
            found.say("database", Verdict::Good, about.version);
            match about.autovacuum {
                Some(true) => found.say("autovacuum", Verdict::Good, "on"),
                Some(false) => found.say(
                    "autovacuum",
                    Verdict::Bad,
                    "off: dead rows are never taken away; set autovacuum = on",
                ),
                None => {}
            }
            match check.as_deref() {
                None => {}
                Some("ok") => found.say("file", Verdict::Good, "quick_check finds nothing"),
                Some(damage) => found.say(
                    "file",
                    Verdict::Bad,
                    format!("damaged: {damage}; restore a backup"),
                ),
            }
        }
    }
}

/// Less is soon nothing: a night's worth of the write-ahead log.
const LITTLE: u64 = 256 * 1024 * 1024;
/// Less is nothing.
const NONE: u64 = 16 * 1024 * 1024;
/// A log that is not carried over: something has been reading for a long time, or the disk is too
/// slow. 64 MiB are usual.
const LONG_LOG: u64 = 512 * 1024 * 1024;

fn disk(url: &str, found: &mut Diagnosis) {
    let mib = |bytes: u64| format!("{} MiB", bytes / 1024 / 1024);
    match store::engine::writes::disk(url) {
        Err(error) => found.say("disk", Verdict::Warning, error.to_string()),
        Ok(None) => {}
        Ok(Some(disk)) => {
            let free = format!("{} free in {}", mib(disk.free), disk.dir.display());
            match disk.free {
                ..NONE => found.say(
                    "disk",
                    Verdict::Bad,
                    format!("{free}: nothing can be written soon; make room"),
                ),
                NONE..LITTLE => found.say("disk", Verdict::Warning, format!("{free}: make room")),
                _ => found.say("disk", Verdict::Good, free),
            }
            let verdict = if disk.wal > LONG_LOG {
                Verdict::Warning
            } else {
                Verdict::Good
            };
            found.say(
                "write-ahead log",
                verdict,
                format!("{} beside a database of {}", mib(disk.wal), mib(disk.file)),
            );
        }
    }
}

/// Writes a row and commits it: the one way to know that it is possible.
async fn writes(app: &App, found: &mut Diagnosis) {
    match app
        .db
        .probe_write(check_health::probe_slot(app), app.now())
        .await
    {
        Ok(()) => found.say("writing", Verdict::Good, "a row was written"),
        Err(error) => found.say("writing", Verdict::Bad, error.to_string()),
    }
}

/// More wait only where they are not sent.
const LONG_QUEUE: i64 = 100;

async fn queues(db: &Db, found: &mut Diagnosis) {
    match db
        .read(work!(conn => Ok((
            store::mails::count(conn).await?,
            store::audit::webhooks::count(conn).await?,
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
            format!("{doubt}; nothing is deleted, rotated or given up meanwhile"),
        ),
        Ok(_) => found.say(
            "clock",
            Verdict::Good,
            apart.unwrap_or_else(|| "near the last confirmed time".into()),
        ),
    }
}

async fn keys(app: &App, found: &mut Diagnosis) {
    match load_keys::read_ring(app).await {
        Err(error) => found.say("keys", Verdict::Bad, error.to_string()),
        Ok(ring) => {
            let (verdict, says) = judge_ring(&ring, app.now(), &app.config.keys.policy);
            found.say("keys", verdict, says);
        }
    }
}

/// Which process holds which master key: one without the current key is not ready.
async fn holders(app: &App, found: &mut Diagnosis) {
    let holders = match processes::holders(app).await {
        Ok(holders) => holders,
        Err(error) => return found.say("processes", Verdict::Warning, error.to_string()),
    };
    for process in holders.lacking() {
        let advice =
            "give it the key (COUNTERSIGN_MASTER_KEY_FILE, keys/master.key) and restart it";
        found.say(
            "processes",
            Verdict::Warning,
            format!(
                "lacks the current master key {} and is not ready: {process}; {advice}",
                holders.current
            ),
        );
    }
    if holders.lacking().next().is_none() {
        found.say(
            "processes",
            Verdict::Good,
            format!(
                "{} running; none lacks the current master key {}",
                holders.running.len(),
                holders.current
            ),
        );
    }
    found.running = holders.running;
}

fn judge_ring(ring: &Ring, now: Timestamp, policy: &Policy) -> (Verdict, String) {
    if ring.in_state(State::Active).is_none() {
        return (
            Verdict::Bad,
            "no active signing key; start `countersign serve` once".into(),
        );
    }
    if ring.in_state(State::Standby).is_none() {
        return (
            Verdict::Bad,
            "no standby key; the next rotation has nothing to rotate to".into(),
        );
    }
    let retired = ring
        .keys
        .iter()
        .filter(|k| k.state == State::Retired)
        .count();
    let says = format!("1 active, 1 standby, {retired} retired; all open with the master key");
    match ring.next_rotation(policy) {
        Some(due) if due + OVERDUE < now => (
            Verdict::Warning,
            format!("{says}; a rotation was due at {due} and nobody made it"),
        ),
        Some(due) => (Verdict::Good, format!("{says}; next rotation {due}")),
        None => (Verdict::Good, says),
    }
}

/// A mail waits for seconds, or for the next try of a server that was away for a moment.
const LATE_MAIL: Duration = Duration::from_secs(15 * 60);

async fn mails(app: &App, found: &mut Diagnosis) {
    match app
        .db
        .read(work!(conn => store::mails::queue(conn).await))
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
                    format!("{says}; the log says why: \"a mail was not taken\""),
                );
            } else {
                found.say("mail", Verdict::Good, says);
            }
        }
    }
}

async fn tables(db: &Db, found: &mut Diagnosis) {
    match db.read(work!(conn => server::tables(conn).await)).await {
        Err(error) => found.say(
            "tables",
            Verdict::Warning,
            format!("sizes are not to be had: {error}"),
        ),
        Ok(tables) => {
            for table in &tables {
                judge_table(table, found);
            }
            found.tables = tables;
        }
    }
}

fn judge_table(table: &TableSize, found: &mut Diagnosis) {
    if table.autovacuum == 0 {
        found.say(
            "autovacuum",
            Verdict::Bad,
            format!(
                "off for {}; ALTER TABLE {0} RESET (autovacuum_enabled)",
                table.name
            ),
        );
    }
    if table.dead_rows > FEW_ROWS && table.dead_rows > table.live_rows / DEAD_SHARE {
        found.say(
            "dead rows",
            Verdict::Warning,
            format!(
                "{}: {} dead beside {} live; autovacuum cannot keep up",
                table.name, table.dead_rows, table.live_rows
            ),
        );
    }
    if table.name == "sessions" && table.updates > ENOUGH_UPDATES {
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = table.hot_updates as f64 / table.updates as f64;
        let verdict = if share < HOT_SHARE {
            Verdict::Warning
        } else {
            Verdict::Good
        };
        found.say(
            "HOT",
            verdict,
            format!(
                "{:.1} % of {} updates of sessions touched no index",
                share * 100.0,
                table.updates
            ),
        );
    }
}
