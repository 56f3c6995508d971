//! The heartbeat of a serving process: a read and a write once a second, through the same path as a
//! refresh. While it cannot be written, no refresh can be answered either, and the gap is a
//! standstill: time that does not count against the retry of a client.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::model::audit::event::Requester;
use crate::model::kernel::standstill::{SILENCE_COUNTED, Standstill, Watch, Whose};
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock;
use crate::model::kernel::trusted_clock::Evidence;
use crate::store::ops::processes::About;
use crate::store::{self, Conn, WriteOptions, work};

use crate::flows::Result;
use crate::flows::key::processes;
use crate::flows::transaction::tx;

/// Rows of processes that ended this long ago are deleted.
const FORGOTTEN: Duration = Duration::from_secs(86_400);

/// Records that this process runs and, unless it cannot sign, that it serves.
pub async fn beat(app: &App) -> Result<()> {
    let (about, process) = (processes::about_this(app), Requester::named("process"));
    if app.ring().is_none() || app.is_ring_unusable() {
        let writer = app.writer.clone();
        let announce = tx!(tx => {
            store::ops::processes::announce(tx.conn, &writer, &about).await?;
            Ok(())
        });
        return app.transaction(&process, announce).await;
    }
    let (writer, keep) = (app.writer.clone(), keep(app));
    let others = app
        .db
        .read(work!(conn => store::ops::standstills::of_others(conn, &writer, keep).await))
        .await?;
    let max_skew = app.config.database.max_clock_skew;
    let beat = Beat {
        watch: Arc::clone(&app.standstills),
        writer: app.writer.clone(),
        about,
        alone: !app.db.is_shared(),
        max_skew,
    };
    // On Postgres the heartbeat waits for the disk as a refresh does. On SQLite it is queued behind
    // refreshes that do.
    let options = if app.db.is_shared() {
        WriteOptions::STEPS
    } else {
        WriteOptions::UNSYNCED
    };
    let beaten = app
        .transaction_with(options, &process, tx!(tx => Ok(beat.run(tx.conn).await?)))
        .await?;
    let Some((now, stood_still)) = beaten else {
        app.standstills.doubt();
        return Ok(());
    };
    let starts = app.standstills.last_beat().is_none();
    app.standstills.beat(now, stood_still, others, keep);
    if let Some(stood) = stood_still.filter(|_| starts) {
        tracing::info!(from = %stood.began_at, to = %stood.ended_at, "nothing was served before this start; the time does not count against retries of refresh tokens");
    } else if let Some(stood) = stood_still {
        tracing::warn!(from = %stood.began_at, to = %stood.ended_at, "the service stood still; the time does not count against retries of refresh tokens");
    }
    Ok(())
}

/// Records that the process stops, so that its silence is not a standstill.
pub async fn stop(app: &App) -> Result<()> {
    let writer = app.writer.clone();
    app.transaction(
        &Requester::named("process"),
        tx!(tx => {
            store::ops::processes::leave(tx.conn, &writer).await?;
            store::ops::standstills::stop(tx.conn, &writer).await?;
            Ok(())
        }),
    )
    .await
}

/// Returns how long a past standstill can matter: the time for a retry, and the difference between
/// clocks of replicas.
fn keep(app: &App) -> Duration {
    app.config.sessions.refresh.grace + SILENCE_COUNTED
}

#[derive(Clone)]
struct Beat {
    watch: Arc<Watch>,
    writer: String,
    about: About,
    /// Whether no other process has been serving this database for some time.
    alone: bool,
    /// `database.max_clock_skew`.
    max_skew: Duration,
}

impl Beat {
    /// Writes the heartbeat. Returns its time and the standstill that it ended; `None` if none was
    /// written, because the clock is wrong.
    async fn run(self, conn: &mut Conn) -> store::Result<Option<(Timestamp, Option<Standstill>)>> {
        let now = conn.now();
        // A clock that the database's own contradicts writes and deletes nothing: otherwise the
        // time until its wrong date would count as a standstill for every replica.
        let evidence = Evidence {
            database: store::engine::server::clock(conn).await?,
            last_confirmed: None,
        };
        if trusted_clock::confirm(now, evidence, self.max_skew).is_err() {
            store::ops::processes::announce(conn, &self.writer, &self.about).await?;
            return Ok(None);
        }
        let stood_still = if let Some(last) = self.watch.last_beat() {
            // The process served while its clock was wrong.
            if self.watch.is_doubted() {
                None
            } else {
                Watch::gap(Some(last), now)
            }
        } else {
            store::ops::processes::forget(conn, FORGOTTEN).await?;
            self.before_the_start(conn).await?
        };
        if let Some(stood) = stood_still {
            store::ops::standstills::note(conn, &self.writer, stood).await?;
        }
        store::ops::standstills::beat(conn, &self.writer).await?;
        store::ops::processes::announce(conn, &self.writer, &self.about).await?;
        Ok(Some((now, stood_still)))
    }

    /// Returns the time between the last heartbeat of any process and the start of this one, if
    /// nothing served meanwhile. This covers the processes that ended before; a process that only
    /// stood still records its own standstill when it continues.
    async fn before_the_start(&self, conn: &mut Conn) -> store::Result<Option<Standstill>> {
        let now = conn.now();
        let Some(last) = store::ops::standstills::newest(conn).await? else {
            return Ok(None);
        };
        let gap = Watch::gap(Some(last), now);
        if gap.is_none() && !self.alone {
            store::ops::standstills::forget(conn, &self.writer, now - FORGOTTEN).await?;
            return Ok(None);
        }
        store::ops::standstills::forget(conn, &self.writer, last).await?;
        Ok(Some(Standstill {
            began_at: last,
            ended_at: now.max(last),
            whose: Whose::Ours,
        }))
    }
}
