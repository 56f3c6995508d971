//! What an operator's monitoring reads: the counters of this process, and gauges at that moment.

use std::time::Duration;

use crate::app::App;
use crate::crypto::key_ring::KeyRing;
use crate::metrics::{GaugeSnapshot, SessionCount};
use crate::model::audit::webhook::Webhook;
use crate::model::kernel::time::Timestamp;
use crate::model::key::algorithm::Algorithm;
use crate::model::key::key::{Ring, State};
use crate::model::mail::Mail;
use crate::store::{self, work};

use super::check_health;

/// Counting all sessions reads the whole table: at most once a minute, and for at most a hundredth
/// of the time.
const BETWEEN_COUNTS: Duration = Duration::from_secs(60);
const SHARE: u32 = 100;

/// Returns the text of `/metrics`.
pub async fn metrics(app: &App) -> String {
    let now = app.now();
    let queues = app
        .db
        .read(work!(conn => Ok((
            store::queue::count::<Mail>(conn).await?,
            store::queue::count::<Webhook>(conn).await?,
        ))))
        .await
        .ok();
    let writable = queues.is_some() && check_health::unwritable(app).await.is_none();
    let ring = app.ring();
    let active = ring
        .as_ref()
        .and_then(|ring| ring.default_key()?.activated_at);
    let next = ring.as_ref().and_then(|ring| next_rotation(app, ring));
    if let Some(ring) = &ring {
        count_keys(app, ring);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of some weeks are exact in a double"
    )]
    let seconds_until = |then: Timestamp| (then.0 - now.0) as f64 / 1e3;
    let seen = GaugeSnapshot {
        database: queues.is_some() && writable,
        writable,
        key_age: active.map(|since| now.since(since)),
        next_rotation: next.map(seconds_until),
        ring_age: app.ring_age(),
        clock_confirmed: !app.clock_trust.is_doubted(),
        password_queue: app.hasher.queued(),
        password_queue_limit: app.config.passwords.queue,
        connections: app.db.connections(),
        write_queue: app.db.queued_writes(),
        mail_queue: queues.map(|(mails, _)| mails),
        webhook_queue: queues.map(|(_, webhooks)| webhooks),
        sessions: sessions(app, now).await,
    };
    app.metrics.render(&seen)
}

/// Returns when the next key of any algorithm begins to sign.
fn next_rotation(app: &App, ring: &KeyRing) -> Option<Timestamp> {
    let policies = &app.config.keys.policies;
    let next = |(algorithm, keys): (Algorithm, &Ring)| keys.next_rotation(&policies.of(algorithm));
    ring.slots.iter().filter_map(next).min()
}

fn count_keys(app: &App, ring: &KeyRing) {
    for (algorithm, keys) in ring.slots.iter() {
        for state in [State::Active, State::Standby, State::Retired] {
            let count = keys.keys.iter().filter(|key| key.state == state).count();
            app.metrics.keys(algorithm, state, count);
        }
    }
}

/// Counts the sessions; `None` if it is too early to count again, or if counting failed.
async fn sessions(app: &App, now: Timestamp) -> Option<SessionCount> {
    let begun = app.uptime();
    if !app.begin_count(begun, begun + BETWEEN_COUNTS) {
        return None;
    }
    let counted = app
        .db
        .read(work!(conn => store::session::list_sessions::census(conn, now).await))
        .await;
    app.count_again_at(begun + BETWEEN_COUNTS.max(app.uptime().saturating_sub(begun) * SHARE));
    counted
        .inspect_err(|error| tracing::warn!(%error, "the sessions could not be counted"))
        .ok()
        .map(|counted| SessionCount {
            live: counted.live,
            with_tickets: counted.with_tickets,
            mean_age: counted.mean_age,
        })
}
