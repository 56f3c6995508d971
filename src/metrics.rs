//! What is counted and measured, for Prometheus (OpenMetrics text). Labels are words of ours from
//! short lists, never a user's: the number of series does not grow with the users. Counters are
//! counted where things happen; gauges are set when somebody reads (`flows::ops::collect_metrics`).

pub mod verifiers;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::model::limit::rate::Rule;

type By<const N: usize> = Family<[(&'static str, String); N], Counter>;
type Words<const N: usize> = Family<[(&'static str, &'static str); N], Counter>;
type Times = Family<[(&'static str, String); 1], Histogram, fn() -> Histogram>;
type Decimal = Gauge<f64, AtomicU64>;

/// Everything that this process counts.
pub struct Metrics {
    registry: Registry,
    requests: By<3>,
    durations: Times,
    sign_ins: Words<1>,
    refreshes: Words<1>,
    limited: Words<1>,
    mails: Words<1>,
    webhooks: Words<1>,
    left_out: Words<1>,
    gauges: Gauges,
    /// Who fetched the JWKS.
    pub verifiers: verifiers::Verifiers,
}

#[derive(Default)]
struct Gauges {
    database_up: Gauge,
    database_writable: Gauge,
    key_age: Decimal,
    next_rotation: Decimal,
    ring_age: Decimal,
    clock_confirmed: Gauge,
    password_queue: Gauge,
    password_queue_limit: Gauge,
    connections: Family<[(&'static str, &'static str); 1], Gauge>,
    write_queue: Gauge,
    mail_queue: Decimal,
    webhook_queue: Decimal,
    sessions: Decimal,
    session_age: Decimal,
}

/// A look at what changes by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GaugeSnapshot {
    /// The database answered.
    pub database: bool,
    /// It can be written, as far as the last write told.
    pub writable: bool,
    /// How long the active key has been signing.
    pub key_age: Option<Duration>,
    /// How long until another one does; negative when it is overdue. In seconds.
    pub next_rotation: Option<f64>,
    /// How long ago the keys were confirmed to be the current ones.
    pub ring_age: Duration,
    /// Whether the clock was trusted when a job last asked.
    pub clock_confirmed: bool,
    /// Passwords that wait for a thread.
    pub password_queue: usize,
    /// How many may.
    pub password_queue_limit: usize,
    /// Connections at work, and all that there may be.
    pub connections: (usize, usize),
    /// Writes that wait for SQLite's one writer.
    pub write_queue: usize,
    /// Mails that were not sent yet.
    pub mail_queue: Option<i64>,
    /// Events that the webhook has not taken yet.
    pub webhook_queue: Option<i64>,
    /// Sessions that live, and how old they are on average.
    pub sessions: Option<(i64, Duration)>,
}

const SIGN_INS: [&str; 7] = [
    "success",
    "wrong_password",
    "limited",
    "shut_out",
    "unverified",
    "unavailable",
    "error",
];
const REFRESHES: [&str; 11] = [
    "rotated",
    "kept",
    "repeated",
    "superseded",
    "healed",
    "reused",
    "revoked",
    "expired",
    "invalid",
    "limited",
    "unavailable",
];
/// The limit of one refresh token, which has no rule in the settings.
pub const REFRESH_TOKEN: &str = "refresh-token";
const MAILS: [&str; 5] = ["sent", "later", "refused", "void", "limited"];
const LEFT_OUT: [&str; 3] = ["session_data", "set-auth-jwt", "nothing"];
const WEBHOOKS: [&str; 3] = ["taken", "later", "given_up"];

/// All words begin at zero: of a series that begins at one, nobody sees that it rose.
fn words(label: &'static str, all: impl IntoIterator<Item = &'static str>) -> Words<1> {
    let family = Words::default();
    for word in all {
        drop(family.get_or_create(&[(label, word)]));
    }
    family
}

/// From half a millisecond to eight seconds.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 15))
}

impl Metrics {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let requests = By::default();
        let sign_ins = words("result", SIGN_INS);
        let refreshes = words("decision", REFRESHES);
        let limited = words(
            "rule",
            Rule::ALL
                .map(Rule::as_str)
                .into_iter()
                .chain([REFRESH_TOKEN]),
        );
        let mails = words("outcome", MAILS);
        let webhooks = words("outcome", WEBHOOKS);
        let left_out = words("what", LEFT_OUT);
        let times = Times::new_with_constructor(durations as fn() -> Histogram);
        registry.register(
            "http_requests",
            "Requests answered, by method, route and status",
            requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "How long requests took, by route",
            Unit::Seconds,
            times.clone(),
        );
        registry.register("sign_ins", "Sign-ins, by result", sign_ins.clone());
        registry.register(
            "refreshes",
            "Refresh tokens presented, by what was decided",
            refreshes.clone(),
        );
        registry.register(
            "rate_limited",
            "Requests that a limit refused, by limit",
            limited.clone(),
        );
        registry.register("mails", "Mails tried, by outcome", mails.clone());
        registry.register(
            "webhooks",
            "Events offered to the webhook, by outcome",
            webhooks.clone(),
        );
        registry.register(
            "headers_left_out",
            "Answers whose headers a proxy might not have taken, by what was left out",
            left_out.clone(),
        );
        let gauges = Gauges::default();
        // Nobody has counted yet: that is not none.
        for gauge in [
            &gauges.mail_queue,
            &gauges.webhook_queue,
            &gauges.sessions,
            &gauges.session_age,
        ] {
            gauge.set(f64::NAN);
        }
        gauges.register(&mut registry);
        Self {
            registry,
            requests,
            durations: times,
            sign_ins,
            refreshes,
            limited,
            mails,
            webhooks,
            left_out,
            gauges,
            verifiers: verifiers::Verifiers::default(),
        }
    }

    /// An answered request.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.requests
            .get_or_create(&[
                ("method", method.into()),
                ("route", route.into()),
                ("status", status.to_string()),
            ])
            .inc();
        self.durations
            .get_or_create(&[("route", route.into())])
            .observe(took.as_secs_f64());
    }

    /// A sign-in.
    pub fn sign_in(&self, result: &'static str) {
        self.sign_ins.get_or_create(&[("result", result)]).inc();
    }

    /// A refresh token that was presented.
    pub fn refresh(&self, decision: &'static str) {
        self.refreshes
            .get_or_create(&[("decision", decision)])
            .inc();
    }

    /// A request that a limit refused.
    pub fn limited(&self, rule: &'static str) {
        self.limited.get_or_create(&[("rule", rule)]).inc();
    }

    /// A mail that was tried.
    pub fn mail(&self, outcome: &'static str) {
        self.mails.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// An event that was offered to the webhook.
    pub fn webhook(&self, outcome: &'static str) {
        self.webhooks.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// An answer whose headers were too large.
    pub fn left_out(&self, what: &'static str) {
        self.left_out.get_or_create(&[("what", what)]).inc();
    }

    /// The text that Prometheus reads, with the gauges as just seen.
    pub fn render(&self, seen: &GaugeSnapshot) -> String {
        self.gauges.set(seen);
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
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
            "How many may wait; more are answered 503",
            self.password_queue_limit.clone(),
        );
        registry.register(
            "database_connections",
            "Connections that are at work, and their limit",
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
            "Events that the webhook has not taken yet",
            self.webhook_queue.clone(),
        );
        registry.register("sessions", "Sessions that live", self.sessions.clone());
        registry.register_with_unit(
            "session_age_mean",
            "Mean age of the sessions that live",
            Unit::Seconds,
            self.session_age.clone(),
        );
    }

    fn set(&self, seen: &GaugeSnapshot) {
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
        // What nobody could say now keeps what was said last.
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
        if let Some((sessions, age)) = seen.sessions {
            count(&self.sessions, sessions);
            self.session_age.set(age.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_in_words_that_do_not_grow() {
        let metrics = Metrics::new();
        metrics.request("POST", "/api/auth/refresh", 200, Duration::from_millis(3));
        metrics.sign_in("success");
        metrics.sign_in("success");
        let seen = GaugeSnapshot {
            database: true,
            sessions: Some((7, Duration::from_secs(90))),
            ..GaugeSnapshot::default()
        };
        let text = metrics.render(&seen);
        for line in [
            "countersign_http_requests_total{method=\"POST\",route=\"/api/auth/refresh\",status=\"200\"} 1",
            "countersign_http_request_duration_seconds_bucket{le=\"0.004\",route=\"/api/auth/refresh\"} 1",
            "countersign_sign_ins_total{result=\"success\"} 2",
            "countersign_refreshes_total{decision=\"reused\"} 0",
            "countersign_sessions 7.0",
            "countersign_session_age_mean_seconds 90.0",
            "countersign_database_up 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        // Nobody could ask the database: what was last known stays, and that it is away shows.
        let text = metrics.render(&GaugeSnapshot::default());
        assert!(
            text.contains("countersign_sessions 7.0\n")
                && text.contains("countersign_database_up 0\n"),
            "{text}"
        );
    }
}
