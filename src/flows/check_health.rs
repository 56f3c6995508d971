//! Is this process fit to serve? Asked by load balancers; the answer names what is missing and nothing else.

use std::time::Duration;

use crate::app::App;
use crate::model::key::State;
use crate::store;

/// What readiness looks at, each `true` when it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "four independent checks, each told by name")]
pub struct Readiness {
    /// Not shutting down.
    pub accepting: bool,
    /// The database answers.
    pub database: bool,
    /// Its schema is this program's.
    pub schema: bool,
    /// There is an active and a standby key, and the ring was confirmed in the last minute.
    pub keys: bool,
}

impl Readiness {
    /// All is well.
    pub fn is_ready(self) -> bool {
        self.accepting && self.database && self.schema && self.keys
    }
}

/// A ring that nobody could confirm for so long is not to be trusted with new traffic.
const STALE: Duration = Duration::from_secs(60);

/// Looks.
pub async fn readiness(app: &App) -> Readiness {
    let schema = app.db.read(|conn| Box::pin(store::migrate::is_current(conn))).await;
    let has = |state| app.ring().is_some_and(|ring| ring.ring.in_state(state).is_some());
    Readiness {
        accepting: !app.is_draining(),
        database: schema.is_ok(),
        schema: schema.unwrap_or(false),
        keys: has(State::Active) && has(State::Standby) && app.ring_age() < STALE && !app.is_ring_unusable(),
    }
}
