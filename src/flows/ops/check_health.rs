//! Is this process fit to serve? Asked by load balancers; the answer names what is missing and
//! nothing else.

use std::time::Duration;

use crate::app::App;
use crate::model::kernel::trusted_clock::Doubt;
use crate::model::key::key::State;
use crate::store::{self, work};

use super::confirm_clock;

/// What readiness looks at, each `true` when it is well.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent checks, each told by name"
)]
pub struct Readiness {
    /// Not shutting down.
    pub accepting: bool,
    /// The database answers.
    pub database: bool,
    /// The last write to it succeeded, and it takes more.
    pub writable: bool,
    /// Its schema is one that this program serves.
    pub schema: bool,
    /// There is an active and a standby key, and the ring was confirmed in the last minute.
    pub keys: bool,
    /// No other clock contradicts this machine's: neither the database's nor the monotonic clock of
    /// this process.
    pub clock: bool,
    /// How far this machine's clock is ahead of the database's, where it has one, in milliseconds.
    #[serde(skip)]
    pub ahead_ms: Option<i64>,
    /// The clock was set while the process ran.
    #[serde(skip)]
    pub clock_set: Option<Doubt>,
    /// The clock is far from the last confirmed time: deletion and rotation wait for an operator,
    /// and serving goes on.
    #[serde(skip)]
    pub unconfirmed: Option<Doubt>,
    /// Why it cannot be written.
    #[serde(skip)]
    pub unwritable: Option<String>,
}

impl Readiness {
    /// All is well.
    pub fn is_ready(&self) -> bool {
        self.accepting && self.database && self.writable && self.schema && self.keys && self.clock
    }

    /// What is wrong, in words.
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
            (self.writable || !self.database, "the database cannot be written: a full or failing disk, or it is read-only; the log says which".to_owned()),
            (self.schema || !self.database, "the database schema is not one that this version serves".to_owned()),
            (self.keys, "the signing keys are not loaded or were not confirmed for a minute".to_owned()),
            (self.clock, clock),
        ];
        all.into_iter()
            .filter(|(well, _)| !well)
            .map(|(_, reason)| reason)
            .collect()
    }

    /// What an operator has to look at although the process is ready, in words.
    pub fn warnings(&self) -> Vec<String> {
        self.unconfirmed
            .map(|doubt| format!("{doubt}; nothing is deleted or rotated meanwhile"))
            .into_iter()
            .collect()
    }
}

/// A ring that was not confirmed for so long is not to be trusted with new traffic.
const STALE: Duration = Duration::from_secs(60);

/// Looks.
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
        app.ring()
            .is_some_and(|ring| ring.ring.in_state(state).is_some())
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

/// Which row this process writes to find out whether it can: one of 64, so that replicas seldom
/// wait for each other.
pub fn probe_slot(app: &App) -> i64 {
    app.writer
        .bytes()
        .fold(0, |slot, byte| (slot * 31 + i64::from(byte)) % 64)
}

/// How long is waited for the write that is tried. One that is slow says nothing about whether it
/// is possible; where all are for some seconds, it does.
const PROBE: Duration = Duration::from_secs(2);

/// Why nothing can be written; `None` where it can, or where nothing says otherwise. What was
/// written last decides; after a failure, and after some seconds without a write, one is tried, so
/// that it recovers by itself and an idle process notices a full disk.
pub async fn unwritable(app: &App) -> Option<String> {
    if let Err(error @ store::Error::Unwritable(_)) = app
        .db
        .read(work!(conn => store::engine::writes::refuse_read_only(conn).await))
        .await
    {
        return Some(error.to_string());
    }
    // Carried to its end, and noted, even if this does not wait for it any more.
    let (db, slot, now) = (app.db.clone(), probe_slot(app), app.now());
    let probe = tokio::spawn(async move { db.probe_write_if_due(slot, now).await });
    if tokio::time::timeout(PROBE, probe).await.is_err() {
        app.db.writes().note_slow();
    }
    app.db.writes().failure()
}
