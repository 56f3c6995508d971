//! Readiness of this process, for load balancers. The answer names what is missing and nothing
//! else.

use std::time::Duration;

use crate::app::App;
use crate::model::kernel::trusted_clock::Doubt;
use crate::model::key::key::State;
use crate::store::{self, work};

use crate::flows::confirm_clock;

/// What readiness looks at, each `true` when it is well.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent checks, each told by name"
)]
pub struct Readiness {
    /// Whether the process is not shutting down.
    pub accepting: bool,
    /// Whether the database answers.
    pub database: bool,
    /// Whether the last write to the database succeeded, and it accepts more.
    pub writable: bool,
    /// Whether this program can serve the schema of the database.
    pub schema: bool,
    /// Whether there is an active and a standby key, and the ring was confirmed in the last minute.
    pub keys: bool,
    /// Whether no other clock contradicts this machine's: neither the database's nor the monotonic
    /// clock of this process.
    pub clock: bool,
    /// How far this machine's clock is ahead of the database's, if that has one, in milliseconds.
    #[serde(skip)]
    pub ahead_ms: Option<i64>,
    /// Set if the clock was set while the process ran.
    #[serde(skip)]
    pub clock_set: Option<Doubt>,
    /// Set if the clock is far from the last confirmed time: deletion and rotation wait for an
    /// operator, and serving continues.
    #[serde(skip)]
    pub unconfirmed: Option<Doubt>,
    /// Why the database cannot be written.
    #[serde(skip)]
    pub unwritable: Option<String>,
}

impl Readiness {
    /// Returns whether everything is in order.
    pub fn is_ready(&self) -> bool {
        self.accepting && self.database && self.writable && self.schema && self.keys && self.clock
    }

    /// Returns what is wrong, as sentences.
    pub fn reasons(&self) -> Vec<String> {
        let apart = self.ahead_ms.map_or_else(String::new, |ms| {
            format!(
                "this machine's clock is {} ms {} the database's",
                ms.abs(),
                if ms > 0 { "ahead of" } else { "behind" }
            )
        });
        let clock = self.clock_set.map_or(apart, |doubt| doubt.to_string());
        let all = [
            (self.accepting, "stopping".to_owned()),
            (self.database, "the database does not answer".to_owned()),
            (self.writable || !self.database, "the database cannot be written: a full or failing disk, or it is read-only; the log gives the reason".to_owned()),
            (self.schema || !self.database, "this version cannot serve the schema of the database".to_owned()),
            (self.keys, "the signing keys are not loaded or were not confirmed for a minute".to_owned()),
            (self.clock, clock),
        ];
        all.into_iter()
            .filter(|(well, _)| !well)
            .map(|(_, reason)| reason)
            .collect()
    }

    /// Returns what an operator has to check although the process is ready, as sentences.
    pub fn warnings(&self) -> Vec<String> {
        self.unconfirmed
            .map(|doubt| format!("{doubt}; nothing is deleted or rotated meanwhile"))
            .into_iter()
            .collect()
    }
}

/// A process whose ring was not confirmed for this long must not get new requests.
const STALE: Duration = Duration::from_secs(60);

/// Checks the readiness of the process.
pub async fn readiness(app: &App) -> Readiness {
    let looked = app
        .db
        .read(work!(conn => Ok((
            store::engine::migrate::is_served(conn).await?,
            store::engine::server::clock(conn).await?,
        ))))
        .await;
    let unwritable = if looked.is_ok() {
        unwritable(app).await
    } else {
        None
    };
    let has = |state| {
        app.ring().is_some_and(|ring| {
            ring.default_slot()
                .is_some_and(|keys| keys.in_state(state).is_some())
        })
    };
    let (database, (schema, clock)) = (looked.is_ok(), looked.unwrap_or((false, None)));
    let ahead_ms = clock.map(|clock| app.now().0 - clock.0);
    let most = app.config.database.max_clock_skew;
    let far = ahead_ms
        .is_some_and(|ms| !most.is_zero() && Duration::from_millis(ms.unsigned_abs()) > most);
    let contradiction = confirm_clock::contradiction(app);
    let clock_set = contradiction.filter(|doubt| matches!(doubt, Doubt::Uptime(_)));
    Readiness {
        accepting: !app.is_draining(),
        database,
        writable: database && unwritable.is_none(),
        schema,
        keys: has(State::Active)
            && has(State::Standby)
            && app.ring_age() < STALE
            && !app.is_ring_unusable(),
        clock: !far && clock_set.is_none(),
        ahead_ms,
        clock_set,
        unconfirmed: app
            .clock_trust
            .doubt()
            .filter(|doubt| contradiction.is_none() && matches!(doubt, Doubt::LastRun(_))),
        unwritable,
    }
}

/// Returns the row that this process writes as a probe: one of 64, so that replicas seldom wait for
/// each other.
pub fn probe_slot(app: &App) -> i64 {
    app.writer
        .bytes()
        .fold(0, |slot, byte| (slot * 31 + i64::from(byte)) % 64)
}

/// The time limit of the probe. A single slow one is no evidence that writing is impossible; if all
/// are slow for some seconds, it is.
const PROBE: Duration = Duration::from_secs(2);

/// Returns why nothing can be written; `None` if it can, or if nothing indicates otherwise. The
/// last write decides. After a failure, and after some seconds without a write, a probe is written,
/// so that the state recovers by itself and an idle process notices a full disk.
pub async fn unwritable(app: &App) -> Option<String> {
    if let Err(error @ store::Error::Unwritable(_)) = app
        .db
        .read(work!(conn => store::engine::writes::refuse_read_only(conn).await))
        .await
    {
        return Some(error.to_string());
    }
    // The probe is carried to its end, and recorded, even if this function stops waiting for it.
    let (db, slot, now) = (app.db.clone(), probe_slot(app), app.now());
    let probe = tokio::spawn(async move { db.probe_write_if_due(slot, now).await });
    if tokio::time::timeout(PROBE, probe).await.is_err() {
        app.db.writes().note_slow();
    }
    app.db.writes().failure()
}
