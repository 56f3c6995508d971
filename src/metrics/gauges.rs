//! Gauges: values that are read when metrics are requested.

use super::Decimal;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Gauges {
    database_up: Gauge,
    database_writable: Gauge,
    key_age: Decimal,
    next_rotation: Decimal,
    ring_age: Decimal,
    keys: Family<[(&'static str, &'static str); 2], Gauge>,
    clock_confirmed: Gauge,
    password_queue: Gauge,
    password_queue_limit: Gauge,
    connections: Family<[(&'static str, &'static str); 1], Gauge>,
    write_queue: Gauge,
    pub(super) mail_queue: Decimal,
    pub(super) webhook_queue: Decimal,
    pub(super) sessions: Decimal,
    pub(super) ticket_sessions: Decimal,
    pub(super) session_age: Decimal,
}

/// The live sessions, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCount {
    /// The number of live sessions.
    pub live: i64,
    /// How many of them have retry tickets.
    pub with_tickets: i64,
    /// The mean age of all of them.
    pub mean_age: Duration,
}

/// The values of all gauges at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GaugeSnapshot {
    /// Whether the database answered.
    pub database: bool,
    /// Whether the database can be written, according to the last write.
    pub writable: bool,
    /// How long the active key has been signing.
    pub key_age: Option<Duration>,
    /// The time until the next key becomes active, in seconds; negative when that is overdue.
    pub next_rotation: Option<f64>,
    /// How long ago the key ring was confirmed to be current.
    pub ring_age: Duration,
    /// Whether the clock was trusted when a job last checked.
    pub clock_confirmed: bool,
    /// The number of passwords that wait for a thread.
    pub password_queue: usize,
    /// The greatest number of passwords that may wait.
    pub password_queue_limit: usize,
    /// The number of connections in use, and their limit.
    pub connections: (usize, usize),
    /// The number of writes that wait for SQLite's single writer.
    pub write_queue: usize,
    /// The number of mails that were not sent yet.
    pub mail_queue: Option<i64>,
    /// The number of events that the webhook has not accepted yet.
    pub webhook_queue: Option<i64>,
    /// The number of live sessions, those with tickets, and their mean age.
    pub sessions: Option<SessionCount>,
}

impl Gauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "database_up",
            "Whether the database answered when this was read, and can be written",
            self.database_up.clone(),
        );
        registry.register(
            "database_writable",
            "Whether the database could be written when that was last tried",
            self.database_writable.clone(),
        );
        registry.register_with_unit(
            "signing_key_age",
            "How long the active key has been signing",
            Unit::Seconds,
            self.key_age.clone(),
        );
        registry.register_with_unit(
            "next_rotation",
            "How long until the next scheduled rotation; negative when overdue",
            Unit::Seconds,
            self.next_rotation.clone(),
        );
        registry.register_with_unit(
            "key_ring_age",
            "How long ago the keys were confirmed as the current ones",
            Unit::Seconds,
            self.ring_age.clone(),
        );
        registry.register(
            "keys",
            "Published signing keys, by algorithm and state",
            self.keys.clone(),
        );
        registry.register(
            "clock_confirmed",
            "Whether deletion and scheduled rotation trust this machine's clock",
            self.clock_confirmed.clone(),
        );
        registry.register(
            "password_queue",
            "Passwords that wait for a hashing thread",
            self.password_queue.clone(),
        );
        registry.register(
            "password_queue_limit",
            "The greatest number of passwords that may wait; more are answered 503",
            self.password_queue_limit.clone(),
        );
        registry.register(
            "database_connections",
            "Connections in use, and their limit",
            self.connections.clone(),
        );
        registry.register(
            "write_queue",
            "Writes that wait for SQLite's writer",
            self.write_queue.clone(),
        );
        registry.register(
            "mail_queue",
            "Mails that were not sent yet",
            self.mail_queue.clone(),
        );
        registry.register(
            "webhook_queue",
            "Events that the webhook has not accepted yet",
            self.webhook_queue.clone(),
        );
        registry.register("sessions", "Live sessions", self.sessions.clone());
        registry.register(
            "ticket_sessions",
            "Live sessions with retry tickets",
            self.ticket_sessions.clone(),
        );
        registry.register_with_unit(
            "session_age_mean",
            "Mean age of live sessions",
            Unit::Seconds,
            self.session_age.clone(),
        );
    }

    /// Sets the number of published keys of an algorithm in a state.
    pub(super) fn set_keys(&self, algorithm: &'static str, state: &'static str, count: usize) {
        let gauge = self
            .keys
            .get_or_create(&[("algorithm", algorithm), ("state", state)]);
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn set(&self, seen: &GaugeSnapshot) {
        let whole = |gauge: &Gauge, value: usize| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        self.database_up.set(i64::from(seen.database));
        self.database_writable.set(i64::from(seen.writable));
        self.key_age
            .set(seen.key_age.map_or(f64::NAN, |age| age.as_secs_f64()));
        self.next_rotation
            .set(seen.next_rotation.unwrap_or(f64::NAN));
        self.ring_age.set(seen.ring_age.as_secs_f64());
        self.clock_confirmed.set(i64::from(seen.clock_confirmed));
        whole(&self.password_queue, seen.password_queue);
        whole(&self.password_queue_limit, seen.password_queue_limit);
        whole(
            &self.connections.get_or_create(&[("state", "busy")]),
            seen.connections.0,
        );
        whole(
            &self.connections.get_or_create(&[("state", "limit")]),
            seen.connections.1,
        );
        whole(&self.write_queue, seen.write_queue);
        // A value that is not known now keeps its last known one.
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of rows are exact in a double"
        )]
        let count = |gauge: &Decimal, count: i64| {
            gauge.set(count as f64);
        };
        if let Some(mails) = seen.mail_queue {
            count(&self.mail_queue, mails);
        }
        if let Some(events) = seen.webhook_queue {
            count(&self.webhook_queue, events);
        }
        if let Some(sessions) = seen.sessions {
            count(&self.sessions, sessions.live);
            count(&self.ticket_sessions, sessions.with_tickets);
            self.session_age.set(sessions.mean_age.as_secs_f64());
        }
    }
}
