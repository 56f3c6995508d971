//! Is this machine's clock to be trusted with what cannot be undone? Asked before every deletion, rotation and giving up. While it is not, the service goes
//! on serving and only that waits; the log, `doctor` and a metric say so, until the clock is right again or an operator confirms it.

use std::time::Duration;

use crate::app::App;
use crate::model::audit::{Kind, Peer};
use crate::model::time::Timestamp;
use crate::model::trusted_clock::{self, ConfirmedNow, Doubt, Evidence};
use crate::store;

use super::Result;
use super::record::{Recorder, detail};

/// How often the time of the last run is written: far less often than jobs run, far more often than the gap that is allowed.
const NOTE_EVERY: Duration = Duration::from_secs(600);

/// What was found.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// This machine's time.
    pub now: Timestamp,
    /// What the database knows.
    pub evidence: Evidence,
    /// The outcome.
    pub outcome: std::result::Result<ConfirmedNow, Doubt>,
}

/// Looks and writes nothing.
pub async fn look(app: &App) -> Result<Look> {
    let evidence = app.db.read(|conn| Box::pin(store::clock::evidence(conn))).await?;
    let now = app.now();
    Ok(Look { now, evidence, outcome: trusted_clock::confirm(now, evidence, app.config.database.max_clock_skew) })
}

/// The confirmed time, noted as that of the last run; `None`: the clock is in doubt, which the log is told when that begins and once an hour.
pub async fn confirm(app: &App) -> Result<Option<ConfirmedNow>> {
    let found = look(app).await?;
    let confirmed = match found.outcome {
        Ok(confirmed) => confirmed,
        Err(doubt) => {
            if app.clock_trust.doubted(app.uptime()) {
                tracing::warn!(reason = %doubt, "the clock is not confirmed: nothing is deleted, rotated or given up meanwhile; serving goes on");
            }
            return Ok(None);
        }
    };
    if app.clock_trust.confirmed() {
        tracing::info!("the clock is confirmed again; what had waited is done");
    }
    if found.evidence.last_confirmed.is_none_or(|last| last + NOTE_EVERY <= found.now) {
        app.db.write_unsynced(move |conn| Box::pin(store::clock::note(conn, confirmed))).await?;
    }
    Ok(Some(confirmed))
}

/// An operator says that this machine's clock is right: what waited is done by it from now on.
///
/// # Errors
/// The inner one where the database server's own clock says otherwise: one of the two clocks has to be put right first.
pub async fn confirm_by_operator(app: &App, peer: &Peer) -> Result<std::result::Result<Timestamp, Doubt>> {
    let found = look(app).await?;
    if let Err(doubt @ Doubt::Database(_)) = found.outcome {
        return Ok(Err(doubt));
    }
    let recorder = Recorder::new(app, peer);
    let (before, said) = (found.evidence.last_confirmed.map(|last| last.to_string()), found.now);
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            store::clock::set(conn, said).await?;
            let what = detail([("before", before.into()), ("confirmed", said.to_string().into())]);
            recorder.record(conn, Kind::ClockConfirmed, None, None, what).await
        })
    });
    work.await?;
    Ok(Ok(said))
}
