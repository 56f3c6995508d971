//! The checks of `doctor` for the database: its version, its file and disk, its tables.

use crate::model::kernel::database_url::DatabaseUrl;
use crate::store::engine::server;
use crate::store::engine::server::TableSize;
use crate::store::{self, Db, work};

use super::diagnosis::{Diagnosis, Verdict};

/// The least share of heap-only updates: other updates write every index, and a refresh should
/// never be one.
const HOT_SHARE: f64 = 0.99;

/// With fewer updates the share is not significant.
const ENOUGH_UPDATES: i64 = 1_000;

/// Dead rows are reported if they are more than the live rows divided by this; autovacuum begins at
/// a fifth of the live rows.
const DEAD_SHARE: i64 = 2;

const FEW_ROWS: i64 = 10_000;

pub(super) async fn database(db: &Db, found: &mut Diagnosis) {
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
                    "off: dead rows are never removed; set autovacuum = on",
                ),
                None => {}
            }
            match check.as_deref() {
                None => {}
                Some("ok") => found.say("file", Verdict::Good, "quick_check found no damage"),
                Some(damage) => found.say(
                    "file",
                    Verdict::Bad,
                    format!("damaged: {damage}; restore a backup"),
                ),
            }
        }
    }
}

/// Less free space than this is a warning: the write-ahead log may need as much in a night.
const LITTLE: u64 = 256 * 1024 * 1024;

/// With less free space than this, writing will soon fail.
const NONE: u64 = 16 * 1024 * 1024;

/// A write-ahead log of this size is not being checkpointed: a reader has been active for a long
/// time, or the disk is too slow. 64 MiB is usual.
const LONG_LOG: u64 = 512 * 1024 * 1024;

pub(super) fn disk(url: &DatabaseUrl, found: &mut Diagnosis) {
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

pub(super) async fn tables(db: &Db, found: &mut Diagnosis) {
    match db.read(work!(conn => server::tables(conn).await)).await {
        Err(error) => found.say(
            "tables",
            Verdict::Warning,
            format!("the sizes of the tables cannot be read: {error}"),
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
