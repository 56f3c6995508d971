//! Is this process fit to serve? Asked by load balancers; the answer names what is missing and nothing else.

use std::time::Duration;

use crate::app::App;
use crate::model::key::State;
use crate::store;

/// What readiness looks at, each `true` when it is well.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent checks, each told by name")]
pub struct Readiness {
    /// Not shutting down.
    pub accepting: bool,
    /// The database answers.
    pub database: bool,
    /// Its schema is one that this program serves.
    pub schema: bool,
    /// There is an active and a standby key, and the ring was confirmed in the last minute.
    pub keys: bool,
    /// This machine's clock is near the database's.
    pub clock: bool,
    /// How far this machine's clock is ahead of the database's, where it has one, in milliseconds.
    #[serde(skip)]
    pub ahead_ms: Option<i64>,
}

impl Readiness {
    /// All is well.
    pub fn is_ready(&self) -> bool {
        self.accepting && self.database && self.schema && self.keys && self.clock
    }

    /// What is wrong, in words.
    pub fn reasons(&self) -> Vec<String> {
        let clock = self
            .ahead_ms
            .map_or_else(String::new, |ms| format!("this machine's clock is {} ms {} the database's", ms.abs(), if ms > 0 { "ahead of" } else { "behind" }));
        let all = [
            (self.accepting, "stopping".to_owned()),
            (self.database, "the database does not answer".to_owned()),
            (self.schema || !self.database, "the database schema is not one that this version serves".to_owned()),
            (self.keys, "the signing keys are not loaded or were not confirmed for a minute".to_owned()),
            (self.clock, clock),
        ];
        all.into_iter().filter(|(well, _)| !well).map(|(_, reason)| reason).collect()
    }
}

/// A ring that nobody could confirm for so long is not to be trusted with new traffic.
const STALE: Duration = Duration::from_secs(60);

/// Looks.
pub async fn readiness(app: &App) -> Readiness {
    let looked = app.db.read(|conn| Box::pin(async move { Ok((store::migrate::is_served(conn).await?, store::server::clock(conn).await?)) })).await;
    let has = |state| app.ring().is_some_and(|ring| ring.ring.in_state(state).is_some());
    let (database, (schema, clock)) = (looked.is_ok(), looked.unwrap_or((false, None)));
    let ahead_ms = clock.map(|clock| app.now().0 - clock.0);
    let most = app.config.database.max_clock_skew;
    let far = ahead_ms.is_some_and(|ms| !most.is_zero() && Duration::from_millis(ms.unsigned_abs()) > most);
    Readiness {
        accepting: !app.is_draining(),
        database,
        schema,
        keys: has(State::Active) && has(State::Standby) && app.ring_age() < STALE && !app.is_ring_unusable(),
        clock: !far,
        ahead_ms,
    }
}
