//! Whether this machine's clock may be trusted with what cannot be undone. Asked before every
//! deletion, rotation and giving up. While the clock is in doubt those wait, no cookie is cleared
//! because a time has passed, and the log, `doctor`, a metric and `/health/ready` report it, until
//! the clock is right again or an operator confirms it. If another clock contradicts this one,
//! nothing expires either, and a clock that is far ahead issues nothing.

use std::time::Duration;

use crate::app::App;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::time::{Timestamp, millis};
use crate::model::kernel::trusted_clock;
use crate::model::kernel::trusted_clock::{ConfirmedNow, Doubt, Evidence, MAX_GAP};
use crate::store::{self, WriteOptions, work};

use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// How often the time of the last run is written: far less often than jobs run, far more often than
/// the allowed gap.
const NOTE_EVERY: Duration = Duration::from_secs(600);

/// The result of a check.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The time of this machine.
    pub now: Timestamp,
    /// What the database knows about the time.
    pub evidence: Evidence,
    /// The confirmed time, or the doubt.
    pub outcome: std::result::Result<ConfirmedNow, Doubt>,
}

/// Checks the clock; writes nothing.
pub async fn look(app: &App) -> Result<Look> {
    let evidence = app
        .db
        .read(work!(conn => store::engine::clock::evidence(conn).await))
        .await?;
    let now = app.now();
    Ok(Look {
        now,
        evidence,
        outcome: trusted_clock::confirm(now, evidence, app.config.database.max_clock_skew),
    })
}

/// Returns the confirmed time, which is recorded as that of the last run. Returns `None` if the
/// clock is in doubt, which is logged when that begins and once an hour.
pub async fn confirm(app: &App) -> Result<Option<ConfirmedNow>> {
    let found = look(app).await?;
    let confirmed = match found.outcome {
        Ok(confirmed) => confirmed,
        Err(doubt) => {
            let by_database =
                found.evidence.database.is_some() && !app.config.database.max_clock_skew.is_zero();
            if by_database && !matches!(doubt, Doubt::Database(_)) {
                app.clock_trust.is_right(found.now, app.uptime());
            }
            if app.clock_trust.doubted(doubt, app.uptime()) {
                tracing::warn!(reason = %doubt, "the clock is not confirmed: nothing is deleted, rotated, sent or given up meanwhile");
            }
            return Ok(None);
        }
    };
    if app.clock_trust.confirmed(found.now, app.uptime()) {
        tracing::info!("the clock is confirmed again; deletion, rotation and sending continue");
    }
    if found
        .evidence
        .last_confirmed
        .is_none_or(|last| last + NOTE_EVERY <= found.now)
    {
        let note = tx!(tx => Ok(store::engine::clock::note(tx.conn, confirmed).await?));
        app.transaction_with(WriteOptions::UNSYNCED, &Requester::named("process"), note)
            .await?;
    }
    Ok(Some(confirmed))
}

/// Returns which other clock contradicts this machine's.
pub fn contradiction(app: &App) -> Option<Doubt> {
    app.clock_trust.contradiction(app.now(), app.uptime())
}

/// Returns whether this machine's clock may be ahead. Something that has expired by it may still be
/// valid, so its cookies and whatever else its client holds are left alone.
pub fn may_be_ahead(app: &App) -> bool {
    contradiction(app)
        .or_else(|| app.clock_trust.doubt())
        .is_some_and(|doubt| doubt.ahead_ms() > 0)
}

/// What this process may take from a queue that replicas share.
#[derive(Debug, Clone, Copy)]
pub struct Taking {
    /// Set on a confirmed clock: items that lie too far in the future may be taken, too.
    pub confirmed: Option<ConfirmedNow>,
}

/// Checks the clock before work is taken from such a queue: what one replica holds or has postponed
/// is a time, and a clock that differs from the others' would take it from them or keep it from
/// them. Returns `None` if this one is too far from the database's clock; the other replicas do the
/// work.
pub async fn admit_taking(app: &App) -> Result<Option<Taking>> {
    let confirmed = confirm(app).await?;
    let is_apart =
        confirmed.is_none() && matches!(app.clock_trust.doubt(), Some(Doubt::Database(_)));
    Ok((!is_apart).then_some(Taking { confirmed }))
}

/// Checks the clock before a session or a link is refused because it has expired: clients throw
/// away what has expired.
///
/// # Errors
/// `Unavailable` if another clock shows that this machine's is ahead.
pub fn admit_expiry(app: &App) -> Result<()> {
    refuse_beyond(app, 0)
}

/// Checks the clock before a session begins or moves on, and before an access token is signed: a
/// token would be valid for as long as the clock is ahead.
///
/// # Errors
/// `Unavailable` if another clock shows that this machine's is more than a day ahead.
pub fn admit_issuing(app: &App) -> Result<()> {
    refuse_beyond(app, millis(MAX_GAP))
}

fn refuse_beyond(app: &App, most_ms: i64) -> Result<()> {
    match contradiction(app) {
        Some(doubt) if doubt.ahead_ms() > most_ms => Err(Error::Unavailable(doubt.to_string())),
        _ => Ok(()),
    }
}

/// Records that an operator confirms this machine's clock; from now on waiting work is done by it.
///
/// # Errors
/// The inner error if the database server's own clock contradicts: one of the two clocks has to be
/// set first.
/// be put right first.
pub async fn confirm_by_operator(
    app: &App,
    _: Permitted<'_, to::ConfirmClock>,
    requester: &Requester,
) -> Result<std::result::Result<Timestamp, Doubt>> {
    let found = look(app).await?;
    if matches!(found.outcome, Err(Doubt::Database(_))) {
        return Ok(found.outcome.map(ConfirmedNow::now));
    }
    let before = found.evidence.last_confirmed.map(|last| last.to_string());
    let said = found.now;
    app.transaction(
        requester,
        tx!(tx => {
            store::engine::clock::set(tx.conn, said).await?;
            let what = detail([
                ("before", before.into()),
                ("confirmed", said.to_string().into()),
            ]);
            tx.record(Kind::ClockConfirmed, None, None, what).await
        }),
    )
    .await?;
    app.clock_trust.confirmed(said, app.uptime());
    Ok(Ok(said))
}
